//! The Gateway that an Ingress stands for: a server on port 80 and one on port 443 for each Secret.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_crypto::TlsParameters;
use portcullis_message::HostPattern;
use portcullis_model::ListenerProtocol;

use super::super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{
    CertificateSource, CredentialName, ForeignAnnotation, Gateway, Ingress, IngressTls, RouteOrder,
    Server, ServerHost, ServerTls, Weight,
};

/// The Gateway of an Ingress.
pub(super) fn gateway_of(ingress: &Ingress) -> Gateway {
    let hosts = hosts(ingress);
    let mut servers = vec![Server {
        origin: ingress.metadata.origin.clone(),
        owner: None,
        field: "spec".into(),
        tls_field: "spec".into(),
        name: "http".into(),
        port: 80,
        bind: None,
        protocol: ListenerProtocol::Http,
        hosts: taken(&hosts),
        https_redirect: false,
        tls: None,
    }];
    for entry in &ingress.tls {
        let of_entry = if entry.hosts.is_empty() { &hosts } else { &entry.hosts };
        let name = format!("https-{}", entry.secret);
        match servers.iter_mut().find(|server| *server.name == *name) {
            Some(server) => server.hosts.extend(taken(of_entry)),
            None => servers.push(tls_server(ingress, entry, name.into(), of_entry)),
        }
    }
    Gateway {
        metadata: ingress.metadata.clone(),
        selector: Vec::new(),
        servers,
        settings: ingress.settings.clone(),
        manifest_demand: ingress.manifest_demand,
        class: None,
        route_order: RouteOrder::default(),
    }
}

/// The hosts whose requests it takes, each once.
fn hosts(ingress: &Ingress) -> Vec<HostPattern> {
    let every = ingress.default_backend.as_ref().map(|_| HostPattern::Any);
    let all = ingress.rules.iter().map(|rule| rule.host.clone()).chain(every);
    let mut seen = HashSet::new();
    all.filter(|host| seen.insert(host.clone())).collect()
}

fn taken(hosts: &[HostPattern]) -> Vec<ServerHost> {
    let host = |pattern: &HostPattern| ServerHost { namespace: None, pattern: pattern.clone() };
    hosts.iter().map(host).collect()
}

fn tls_server(
    ingress: &Ingress,
    entry: &IngressTls,
    name: Arc<str>,
    hosts: &[HostPattern],
) -> Server {
    let field: Arc<str> = format!("spec.tls[{}]", entry.index).into();
    let secret = CredentialName {
        namespace: ingress.metadata.id.namespace.clone(),
        name: entry.secret.clone(),
        field: "secretName".into(),
        origin: entry.secret_origin.clone(),
    };
    Server {
        origin: entry.origin.clone(),
        owner: None,
        tls_field: field.clone(),
        field,
        name,
        port: 443,
        bind: None,
        protocol: ListenerProtocol::Https,
        hosts: taken(hosts),
        https_redirect: false,
        tls: Some(ServerTls {
            certificates: CertificateSource::Secrets(vec![secret]),
            clients: None,
            parameters: TlsParameters::default(),
        }),
    }
}

/// Reports annotations for other controllers.
pub(super) fn report_foreign(ingress: &Ingress, findings: &mut Findings) {
    let object = &ingress.metadata.id;
    for annotation in &ingress.foreign {
        let ForeignAnnotation { name, field, origin, instead, weight } = annotation;
        let spot = Spot { object, field: field.clone(), origin };
        let message = format!("`{name}` is for another controller and has no effect here");
        match weight {
            Weight::Behaviour => {
                let help = format!("write {instead} instead, and remove the annotation");
                findings.warning(codes::FOREIGN_ANNOTATION, spot, message, &help);
            }
            Weight::Protection => {
                let help = format!(
                    "write {instead} instead, and remove the annotation; until then the Ingress' requests are refused with 503, as nothing would protect them"
                );
                findings.error(codes::FOREIGN_ANNOTATION, spot, message, &help);
            }
        }
    }
}
