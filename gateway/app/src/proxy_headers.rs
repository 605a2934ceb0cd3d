//! Gateways whose connections begin with a PROXY header that nobody is trusted to send, told when they are applied.

use std::collections::BTreeSet;

use portcullis_manifests::codes::NO_TRUSTED_NETWORK;
use portcullis_message::TrustedProxies;
use portcullis_model::{Listener, Model, ObjectId, Problem, ProxyProtocol, Severity};

/// A warning for each such Gateway: with `require` it refuses every connection, with `accept` every header.
pub(crate) fn unbelievable_headers(model: &Model, trusted: &TrustedProxies) -> Vec<Problem> {
    if !trusted.networks.is_empty() {
        return Vec::new();
    }
    let mut told = BTreeSet::new();
    let expecting = model.listeners.iter().filter_map(|listener| {
        let consequence = match listener.connections.proxy_protocol {
            ProxyProtocol::Off => return None,
            ProxyProtocol::Accept => "every request behind a PROXY header is refused with 400",
            ProxyProtocol::Require => "every connection is closed",
        };
        Some((listener, consequence))
    });
    expecting
        .filter(|(listener, _)| told.insert(listener.gateway.clone()))
        .map(|(listener, consequence)| warning(listener, consequence))
        .collect()
}

fn warning(listener: &Listener, consequence: &str) -> Problem {
    let (namespace, name) = listener.gateway.split_once('/').unwrap_or(("", &listener.gateway));
    Problem {
        code: NO_TRUSTED_NETWORK,
        severity: Severity::Warning,
        object: Some(ObjectId::new("Gateway", namespace, name)),
        field: "metadata.annotations[portcullis.dev/proxy-protocol]".to_owned(),
        origin: listener.origin.clone(),
        message: format!("no network is trusted to send PROXY headers, so {consequence}"),
        help: "name the load balancer's subnets by --trusted-cidr".to_owned(),
    }
}
