//! Hosts for which a server that ends TLS has no certificate: their clients will refuse it.

use std::collections::{BTreeSet, HashSet};

use portcullis_crypto::Credential;
use portcullis_message::HostPattern;
use portcullis_model::{Listener, ListenerProtocol};

use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use crate::codes;

/// So many hosts are named; the others are counted.
const MOST_NAMED: usize = 3;

/// Reports the hosts of listeners, each given with the index of its Gateway, that none of their certificates has.
pub(crate) fn report_hosts_without_certificate(
    listeners: &[(usize, Listener)],
    gateways: &[OpenGateway],
    findings: &mut Findings,
) {
    for (index, listener) in listeners {
        let lacking = lacking(listener);
        let Some(open) = gateways.get(*index).filter(|_| !lacking.is_empty()) else { continue };
        let Some(server) = open.servers.iter().find(|server| server.name == listener.server) else {
            continue;
        };
        let object = server.object(&open.gateway.metadata.id);
        let spot = Spot { object, field: server.hosts_field(), origin: &listener.origin };
        let message = format!("no certificate of this server is for {}", listed(&lacking));
        let help = "clients will refuse it: put a certificate with the name, or its wildcard, into the Secret, or correct the host";
        findings.warning(codes::HOST_WITHOUT_CERTIFICATE, spot, message, help);
    }
}

/// The hosts that are served over TLS without a certificate for them. A server without any says so elsewhere.
fn lacking(listener: &Listener) -> BTreeSet<&HostPattern> {
    let none = BTreeSet::new();
    let Some(tls) = &listener.tls else { return none };
    if listener.protocol != ListenerProtocol::Https || tls.credentials.is_empty() {
        return none;
    }
    let Some(names) = Names::of(&tls.credentials) else { return none };
    let own = listener.hosts.iter().filter(|host| matches!(host, HostPattern::Exact(_)));
    let routed = listener.virtual_hosts.iter().map(|virtual_host| &virtual_host.host);
    own.chain(routed).filter(|host| !names.cover(host)).collect()
}

/// The DNS names of certificates.
struct Names(HashSet<String>);

impl Names {
    /// `None` where one cannot be read, or is for identities of the mesh and not for names.
    fn of(credentials: &[Credential]) -> Option<Self> {
        let mut names = HashSet::new();
        for credential in credentials {
            let facts = credential.facts()?;
            if facts.dns_names.is_empty() && !facts.uris.is_empty() {
                return None;
            }
            names.extend(facts.dns_names.iter().map(|name| name.to_ascii_lowercase()));
        }
        Some(Names(names))
    }

    /// A wildcard in a certificate is for one label.
    fn cover(&self, host: &HostPattern) -> bool {
        match host {
            HostPattern::Any => true,
            HostPattern::Suffix(suffix) => self.0.contains(&format!("*{suffix}")),
            HostPattern::Exact(name) => {
                let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
                self.0.contains(&**name) || wildcard.is_some_and(|name| self.0.contains(&name))
            }
        }
    }
}

fn listed(hosts: &BTreeSet<&HostPattern>) -> String {
    let named: Vec<String> =
        hosts.iter().take(MOST_NAMED).map(|host| format!("`{host}`")).collect();
    match hosts.len().saturating_sub(MOST_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
