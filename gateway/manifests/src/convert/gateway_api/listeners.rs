//! Listeners to servers: what they name is looked up, and may be referred to.

use portcullis_model::ObjectId;

use super::super::findings::Findings;
use super::clients::client_rules;
use super::parent::{Parent, ParentListener, Refusal};
use super::references::{References, Referrer};
use crate::kinds::{
    ApiGateway, CertificateSource, CredentialName, Gateway, GatewayFault, ListenerTls, ObjectRef,
    RouteOrder, Server, ServerHost, ServerTls,
};

/// The label by which Istio's policies select the workload of a Gateway of this API.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Makes the servers of a parent's listeners.
pub(super) fn servers_of(
    gateway: &ApiGateway,
    parent: &mut Parent,
    references: &References<'_>,
    findings: &mut Findings,
) -> Vec<Server> {
    let own = parent.id.clone();
    if own == parent.gateway {
        settle_client_certificate(gateway, parent, references, findings);
    }
    let owner = (own != parent.gateway).then(|| own.clone());
    let mut servers = Vec::new();
    for listener in &mut parent.listeners {
        if listener.written.allowed.has_invalid_kinds {
            let message = "a kind of routes is named that the listener cannot take".to_owned();
            listener.reference = Some(Refusal { reason: "InvalidRouteKinds", message });
        }
        let tls = server_tls((gateway, &own), listener, references, findings);
        if listener.conflict.is_none() {
            servers.extend(server_of(owner.clone(), listener, tls));
        }
    }
    servers
}

/// What a Gateway of this API is to the rest of the gateway.
pub(super) fn gateway_of(gateway: &ApiGateway, servers: Vec<Server>) -> Gateway {
    let name = gateway.metadata.id.name.to_string();
    let mut selector = gateway.labels.clone();
    selector.push((GATEWAY_NAME.to_owned(), name));
    Gateway {
        metadata: gateway.metadata.clone(),
        class: gateway.class.clone(),
        selector,
        servers,
        settings: gateway.settings.clone(),
        manifest_demand: gateway.manifest_demand,
        route_order: RouteOrder::default(),
    }
}

/// Why a Gateway is not served at all.
pub(super) fn fault(gateway: &ApiGateway) -> Option<Refusal> {
    let (reason, message) = match gateway.fault.as_ref()? {
        GatewayFault::UnsupportedAddress => {
            ("UnsupportedAddress", "addresses are IPAddress or Hostname here")
        }
        GatewayFault::InvalidParameters => {
            ("InvalidParameters", "`parametersRef` names nothing that is known here")
        }
    };
    Some(Refusal { reason, message: message.to_owned() })
}

fn server_of(
    owner: Option<ObjectId>,
    listener: &ParentListener,
    tls: Option<ServerTls>,
) -> Option<Server> {
    let written = &listener.written;
    let field = format!("spec.listeners[{}]", written.index);
    Some(Server {
        origin: written.origin.clone(),
        owner,
        tls_field: format!("{field}.tls").into(),
        field: field.into(),
        name: listener.server.clone(),
        port: written.port,
        bind: None,
        protocol: written.protocol?,
        hosts: vec![ServerHost { namespace: None, pattern: written.hostname.clone() }],
        https_redirect: false,
        tls,
    })
}

fn server_tls(
    (gateway, own): (&ApiGateway, &ObjectId),
    listener: &mut ParentListener,
    references: &References<'_>,
    findings: &mut Findings,
) -> Option<ServerTls> {
    let ParentListener { written, reference, .. } = listener;
    let Some(ListenerTls::Terminated { certificates, parameters }) = &written.tls else {
        return None;
    };
    let names = permitted(own, certificates, references, reference, findings);
    let clients = client_rules(gateway, written, references, reference, findings);
    let certificates = match names.is_empty() {
        true => CertificateSource::Refused,
        false => CertificateSource::Secrets(names),
    };
    Some(ServerTls { certificates, clients, parameters: parameters.clone() })
}

/// Those that may be used.
fn permitted(
    own: &ObjectId,
    certificates: &[ObjectRef],
    references: &References<'_>,
    refusal: &mut Option<Refusal>,
    findings: &mut Findings,
) -> Vec<CredentialName> {
    let consequence = "until then TLS handshakes for the listener's hosts are refused, unless another certificate is there";
    let from = Referrer { object: own, consequence };
    let mut names = Vec::new();
    for certificate in certificates {
        names.extend(references.certificate(from, certificate, refusal, findings));
    }
    names
}

/// Looks up the certificate that the Gateway shows to backends.
fn settle_client_certificate(
    gateway: &ApiGateway,
    parent: &mut Parent,
    references: &References<'_>,
    findings: &mut Findings,
) {
    let Some(certificate) = &gateway.tls.client_certificate else { return };
    let consequence = "until then requests to backends over TLS are answered with 503";
    let from = Referrer { object: &gateway.metadata.id, consequence };
    let mut refusal = None;
    let named = references.certificate(from, certificate, &mut refusal, findings);
    parent.reference = refusal.map(|refusal| match refusal.reason {
        "InvalidCertificateRef" => Refusal { reason: "InvalidClientCertificateRef", ..refusal },
        _ => refusal,
    });
    parent.certificate = named.map(Ok).or_else(|| parent.reference.clone().map(Err));
}
