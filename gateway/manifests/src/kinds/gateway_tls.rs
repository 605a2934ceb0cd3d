//! `tls` of a Gateway's server.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_crypto::{Demand, PeerRules, TlsParameters};
use portcullis_model::Origin;

use crate::codes;
use crate::kinds::gateway_tls_clients::read_clients;
use crate::kinds::gateway_tls_parameters::read_parameters;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

/// How TLS ends at a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerTls {
    pub(crate) certificates: CertificateSource,
    /// What is asked of clients; `None` for nothing.
    pub(crate) clients: Option<ClientRules>,
    pub(crate) parameters: TlsParameters,
}

/// Where a server's certificates and keys are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CertificateSource {
    /// `credentialName`, `credentialNames`
    Secrets(Vec<CredentialName>),
    /// `serverCertificate` and `privateKey`, `tlsCertificates`
    Files(Vec<CertificateFiles>),
    /// Those of this workload in the mesh (`ISTIO_MUTUAL`), in files whose directory is set for the process.
    Mesh(Origin),
}

/// What is asked of a server's clients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientRules {
    pub(crate) demand: Demand,
    pub(crate) authorities: AuthoritySource,
    pub(crate) rules: PeerRules,
    /// Where the mode is written.
    pub(crate) origin: Origin,
}

/// Who vouches for a server's clients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AuthoritySource {
    /// `caCertCredentialName`
    Secret(CredentialName),
    /// `caCertificates`, `caCrl`
    Files { authorities: NamedFile, revocations: Option<NamedFile> },
    /// The Secret of the server's own certificate, or the one beside it named `<name>-cacert`; the mesh's with
    /// the mesh's certificates.
    BesideCertificate,
}

/// The name of a Secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CredentialName {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Under `tls`.
    pub(crate) field: Box<str>,
    pub(crate) origin: Origin,
}

/// A certificate chain and its key in files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CertificateFiles {
    pub(crate) chain: NamedFile,
    pub(crate) key: NamedFile,
}

/// A file by its absolute path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    /// Under `tls`.
    pub(crate) field: Box<str>,
    pub(crate) origin: Origin,
}

/// `tls.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Passthrough,
    AutoPassthrough,
    Simple,
    Mutual,
    OptionalMutual,
    IstioMutual,
}

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

/// A file; its path says where it is, wherever the gateway was started.
pub(super) fn named_file(cursor: &Cursor<'_>, field: Box<str>) -> Option<NamedFile> {
    let path = PathBuf::from(cursor.text()?);
    if !path.is_absolute() {
        cursor.refuse(format!("`{}` is not absolute", path.display()), "begin it with `/`");
        return None;
    }
    Some(NamedFile { path, field, origin: cursor.origin() })
}

/// A Secret of the Gateway's namespace, or of the one that is written before a slash.
pub(super) fn secret_name(
    cursor: &Cursor<'_>,
    field: Box<str>,
    namespace: &Arc<str>,
) -> Option<CredentialName> {
    let text = cursor.text()?;
    let text = text.strip_prefix("kubernetes://").unwrap_or(text);
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (namespace.into(), name),
        None => (namespace.clone(), text),
    };
    if name.is_empty() {
        cursor.refuse("this is no name of a Secret", "");
        return None;
    }
    Some(CredentialName { namespace, name: name.into(), field, origin: cursor.origin() })
}
