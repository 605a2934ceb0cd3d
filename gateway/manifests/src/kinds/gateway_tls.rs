//! `tls` of a Gateway's server.

use std::sync::Arc;

use crate::codes;
use crate::kinds::gateway_tls_clients::read_clients;
use crate::kinds::gateway_tls_parameters::read_parameters;
use crate::kinds::gateway_tls_settings::{
    CertificateFiles, CertificateSource, ServerTls, TlsMode, named_file, secret_name,
};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

const MODES: [(&str, TlsMode); 6] = [
    ("SIMPLE", TlsMode::Simple),
    ("MUTUAL", TlsMode::Mutual),
    ("OPTIONAL_MUTUAL", TlsMode::OptionalMutual),
    ("ISTIO_MUTUAL", TlsMode::IstioMutual),
    ("PASSTHROUGH", TlsMode::Passthrough),
    ("AUTO_PASSTHROUGH", TlsMode::AutoPassthrough),
];

/// More certificates than one of each kind have no use.
const MOST_CERTIFICATES: usize = 2;

pub(crate) static TLS: Schema = Schema {
    what: "a server's tls",
    served: &[
        "httpsRedirect",
        "mode",
        "credentialName",
        "credentialNames",
        "serverCertificate",
        "privateKey",
        "tlsCertificates",
        "caCertificates",
        "caCrl",
        "caCertCredentialName",
        "subjectAltNames",
        "verifyCertificateSpki",
        "verifyCertificateHash",
        "minProtocolVersion",
        "maxProtocolVersion",
        "cipherSuites",
    ],
    // In a mode that verifies clients it would take the verification away.
    not_yet: &["insecureSkipVerify"],
    skipped: &[],
};
static PAIR: Schema = Schema {
    what: "a certificate",
    served: &["serverCertificate", "privateKey"],
    not_yet: &["caCertificates"],
    skipped: &[],
};

/// On a plain port only `httpsRedirect` means anything.
pub(crate) fn warn_of_plain_tls(tls: &Fields<'_>) {
    for name in TLS.served.iter().filter(|name| **name != "httpsRedirect") {
        if let Some(field) = tls.field(name) {
            field.not_served(
                Gravity::Warns,
                format!("`{name}` has no effect on a port that speaks no TLS"),
                "set port.protocol to HTTPS, or remove it",
            );
        }
    }
}

/// The mode, PASSTHROUGH where none is written, as in Istio; `None` where it is no mode.
pub(crate) fn read_mode(tls: &Fields<'_>) -> Option<TlsMode> {
    tls.field("mode").map_or(Some(TlsMode::Passthrough), |field| choice(&field, &MODES))
}

/// How TLS ends at a server of one of the modes in which it does; `None` where the server cannot be served.
pub(crate) fn read_server_tls(
    tls: &Fields<'_>,
    mode: TlsMode,
    namespace: &Arc<str>,
) -> Option<ServerTls> {
    let parameters = read_parameters(tls)?;
    let certificates = match mode {
        TlsMode::IstioMutual => read_mesh(tls),
        _ => read_certificates(tls, namespace),
    }?;
    let clients = read_clients(tls, mode, namespace);
    Some(ServerTls { certificates, clients, parameters })
}

/// With `ISTIO_MUTUAL` all certificates are the mesh's.
fn read_mesh(tls: &Fields<'_>) -> Option<CertificateSource> {
    let foreign = [
        "credentialName",
        "credentialNames",
        "serverCertificate",
        "privateKey",
        "tlsCertificates",
        "caCertificates",
        "caCrl",
        "caCertCredentialName",
    ];
    for name in foreign {
        if let Some(field) = tls.field(name) {
            let message = format!("`{name}` and the mode ISTIO_MUTUAL exclude each other");
            let help = "remove it, or write MUTUAL";
            field.report(Gravity::Breaks, codes::EXCLUSIVE, message, help);
        }
    }
    Some(CertificateSource::Mesh(tls.cursor().origin()))
}

fn read_certificates(tls: &Fields<'_>, namespace: &Arc<str>) -> Option<CertificateSource> {
    if tls.exclusive(&["credentialName", "credentialNames", "tlsCertificates", "serverCertificate"])
    {
        return None;
    }
    if let Some(field) = tls.field("credentialName") {
        let name = secret_name(&field, "credentialName".into(), namespace)?;
        return Some(CertificateSource::Secrets(vec![name]));
    }
    if let Some(field) = tls.field("credentialNames") {
        let named = field.items().enumerate().filter_map(|(index, item)| {
            secret_name(&item, format!("credentialNames[{index}]").into(), namespace)
        });
        let names: Vec<_> = named.collect();
        return at_most_two(&field, names.len()).map(|()| CertificateSource::Secrets(names));
    }
    if let Some(field) = tls.field("tlsCertificates") {
        let pair = |(index, item): (usize, Cursor<'_>)| {
            read_pair(&item.fields(&PAIR)?, &format!("tlsCertificates[{index}]."))
        };
        let pairs: Vec<_> = field.items().enumerate().filter_map(pair).collect();
        return at_most_two(&field, pairs.len()).map(|()| CertificateSource::Files(pairs));
    }
    if tls.field("serverCertificate").is_some() || tls.field("privateKey").is_some() {
        return read_pair(tls, "").map(|pair| CertificateSource::Files(vec![pair]));
    }
    let message = "the server has no `credentialName`, so it has no certificate";
    let help = "name a Secret with tls.crt and tls.key; until then nothing listens for this server";
    tls.cursor().report(Gravity::Degrades, codes::MISSING, message, help);
    None
}

fn at_most_two(field: &Cursor<'_>, count: usize) -> Option<()> {
    if (1..=MOST_CERTIFICATES).contains(&count) {
        return Some(());
    }
    let message = format!("{count} certificates are named here");
    field.refuse(message, "name one, or one with an RSA key and one with an ECDSA key");
    None
}

fn read_pair(fields: &Fields<'_>, prefix: &str) -> Option<CertificateFiles> {
    let (chain, key) = (fields.required("serverCertificate"), fields.required("privateKey"));
    Some(CertificateFiles {
        chain: named_file(&chain?, format!("{prefix}serverCertificate").into())?,
        key: named_file(&key?, format!("{prefix}privateKey").into())?,
    })
}
