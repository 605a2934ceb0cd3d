//! `tls` of a DestinationRule's policies.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::gateway_tls_settings::{CredentialName, NamedFile, named_file};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

/// What a policy says on TLS to the upstream.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamTls {
    /// `DISABLE`
    Plain,
    /// Another mode.
    Client(Arc<TlsRules>),
    /// What cannot be read. Plain text is not what was asked for.
    Unreadable,
    /// Asked for by the port itself (`appProtocol: kubernetes.io/wss`), and nobody says whom to trust.
    Unsettled,
}

/// TLS to the upstream, as written.
#[derive(Clone, Debug)]
pub(crate) struct TlsRules {
    /// The DestinationRule.
    pub(crate) object: Option<ObjectId>,
    /// The path of the `tls`.
    pub(crate) field: Box<str>,
    pub(crate) origin: Origin,
    /// Our own certificate.
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) authorities: UpstreamAuthorities,
    /// `subjectAltNames`
    pub(crate) names: Arc<[Box<str>]>,
    pub(crate) sni: Option<Arc<str>>,
    pub(crate) mode: ClientMode,
}

/// `mode`, where it is TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientMode {
    Simple,
    Mutual,
    IstioMutual,
}

/// Where our own certificate and its key are.
#[derive(Clone, Debug)]
pub(crate) enum ClientCertificate {
    /// `clientCertificate` and `privateKey`
    Files { chain: NamedFile, key: NamedFile },
    /// `credentialName`
    Secret(NamedSecret),
    /// `tls.backend.clientCertificateRef` of a Gateway of the Gateway API.
    OfGateway(CredentialName),
    /// Those of this workload in the mesh.
    Mesh,
}

/// Who vouches for endpoints.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamAuthorities {
    /// Nobody has to (`insecureSkipVerify`).
    Nobody,
    /// The operating system's.
    System,
    /// `caCertificates`, `caCrl`
    Files { authorities: NamedFile, revocations: Option<NamedFile> },
    /// The Secret of `credentialName`, or the one beside it named `<name>-cacert`.
    Secret(NamedSecret),
    /// The mesh's.
    Mesh,
    /// `caCertificateRefs` of a BackendTLSPolicy, all of which have to be there.
    References(Arc<[AuthorityRef]>),
}

/// An object of the policy's own namespace with CA certificates.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityRef {
    pub(crate) store: AuthorityStore,
    pub(crate) name: Arc<str>,
    pub(crate) field: Box<str>,
    pub(crate) origin: Origin,
}

/// What CA certificates are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthorityStore {
    ConfigMap,
    Secret,
}

/// A Secret of the rule's own namespace.
#[derive(Clone, Debug)]
pub(crate) struct NamedSecret {
    pub(crate) name: Arc<str>,
    pub(crate) field: Box<str>,
    pub(crate) origin: Origin,
}

static TLS: Schema = Schema {
    what: "an upstream's tls",
    served: &[
        "mode",
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "caCrl",
        "credentialName",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
    ],
    not_yet: &[],
    skipped: &[],
};

const MODES: &[(&str, Option<ClientMode>)] = &[
    ("DISABLE", None),
    ("SIMPLE", Some(ClientMode::Simple)),
    ("MUTUAL", Some(ClientMode::Mutual)),
    ("ISTIO_MUTUAL", Some(ClientMode::IstioMutual)),
];

/// Fields that name files.
const FILES: [&str; 4] = ["clientCertificate", "privateKey", "caCertificates", "caCrl"];

/// Reads a `tls`.
pub(super) fn read_tls(cursor: &Cursor<'_>) -> UpstreamTls {
    let Some(fields) = cursor.fields(&TLS) else { return UpstreamTls::Unreadable };
    let Some(mode) = fields.field("mode") else {
        cursor.not_served(
            Gravity::Degrades,
            "an omitted `mode` means DISABLE in Istio; here plain text has to be asked for",
            "write `mode: DISABLE`; until then the requests that this covers are answered with 503",
        );
        return UpstreamTls::Unreadable;
    };
    match choice(&mode, MODES) {
        None => UpstreamTls::Unreadable,
        Some(None) => {
            let all = ["credentialName", "subjectAltNames", "sni", "insecureSkipVerify"];
            warn_of_unused(&fields, FILES.iter().chain(&all), "in plain text");
            UpstreamTls::Plain
        }
        Some(Some(mode)) => read_rules(&fields, mode)
            .map_or(UpstreamTls::Unreadable, |rules| UpstreamTls::Client(Arc::new(rules))),
    }
}

impl UpstreamTls {
    /// Whether anything but plain text is asked for.
    pub(crate) fn demands_tls(&self) -> bool {
        !matches!(self, UpstreamTls::Plain)
    }
}

fn read_rules(fields: &Fields<'_>, mode: ClientMode) -> Option<TlsRules> {
    let skips = fields.field("insecureSkipVerify").and_then(|field| field.boolean());
    let skips = skips.unwrap_or(false);
    let secret = match (mode, fields.field("credentialName")) {
        (ClientMode::IstioMutual, _) | (_, None) => None,
        (_, Some(field)) => Some(named_secret(&field)?),
    };
    check_combination(fields, mode, secret.is_some(), skips)?;
    let authorities = match (mode, &secret, skips) {
        (_, _, true) => UpstreamAuthorities::Nobody,
        (ClientMode::IstioMutual, ..) => UpstreamAuthorities::Mesh,
        (_, Some(secret), _) => UpstreamAuthorities::Secret(secret.clone()),
        _ => read_authorities(fields)?,
    };
    let certificate = match (mode, secret) {
        (ClientMode::Simple, _) => None,
        (ClientMode::IstioMutual, _) => Some(ClientCertificate::Mesh),
        (ClientMode::Mutual, Some(secret)) => Some(ClientCertificate::Secret(secret)),
        (ClientMode::Mutual, None) => {
            let (chain, key) =
                (fields.required("clientCertificate"), fields.required("privateKey"));
            let (chain, key) = (file(&chain?), file(&key?));
            Some(ClientCertificate::Files { chain: chain?, key: key? })
        }
    };
    let cursor = fields.cursor();
    Some(TlsRules {
        object: cursor.object().cloned(),
        field: cursor.path().into(),
        origin: cursor.origin(),
        certificate,
        authorities,
        names: read_names(fields)?,
        sni: match fields.field("sni") {
            Some(field) => Some(server_name(&field)?),
            None => None,
        },
        mode,
    })
}

/// Reports what excludes each other, and what has no effect.
fn check_combination(
    fields: &Fields<'_>,
    mode: ClientMode,
    has_secret: bool,
    skips: bool,
) -> Option<()> {
    if has_secret && let Some(field) = FILES.iter().find_map(|name| fields.field(name)) {
        let help = "put everything into the Secret: `tls.crt`, `tls.key`, `ca.crt`, `ca.crl`";
        let message = "`credentialName` and files exclude each other";
        field.report(Gravity::Breaks, codes::EXCLUSIVE, message, help);
        return None;
    }
    if let (Some(list), None) = (fields.field("caCrl"), fields.field("caCertificates")) {
        list.refuse("`caCrl` goes with `caCertificates` alone", "name both, or neither");
        return None;
    }
    if mode == ClientMode::IstioMutual {
        let unused = FILES.iter().chain(&["credentialName"]);
        warn_of_unused(fields, unused, "with ISTIO_MUTUAL, which takes the mesh's certificates");
    } else if mode == ClientMode::Simple {
        let own = ["clientCertificate", "privateKey"];
        warn_of_unused(fields, own.iter(), "with SIMPLE, which shows no certificate of ours");
    }
    if skips {
        let unused = ["caCertificates", "caCrl", "subjectAltNames"];
        warn_of_unused(fields, unused.iter(), "beside `insecureSkipVerify`");
    }
    Some(())
}

fn warn_of_unused<'n>(fields: &Fields<'_>, names: impl Iterator<Item = &'n &'n str>, beside: &str) {
    for name in names {
        if let Some(field) = fields.field(name) {
            let message = format!("this has no effect {beside}");
            field.report(Gravity::Warns, codes::NO_EFFECT, message, "remove it");
        }
    }
}

fn read_authorities(fields: &Fields<'_>) -> Option<UpstreamAuthorities> {
    let Some(authorities) = fields.field("caCertificates") else {
        return Some(UpstreamAuthorities::System);
    };
    let authorities = match authorities.text()? {
        "system" => return Some(UpstreamAuthorities::System),
        _ => file(&authorities)?,
    };
    let revocations = match fields.field("caCrl") {
        Some(field) => Some(file(&field)?),
        None => None,
    };
    Some(UpstreamAuthorities::Files { authorities, revocations })
}

fn file(cursor: &Cursor<'_>) -> Option<NamedFile> {
    named_file(cursor, cursor.path().into())
}

fn named_secret(cursor: &Cursor<'_>) -> Option<NamedSecret> {
    let text = cursor.text()?;
    let name = text.strip_prefix("kubernetes://").unwrap_or(text);
    if name.is_empty() || name.contains('/') {
        let help = "write the name of a Secret in the DestinationRule's own namespace";
        cursor.refuse(format!("`{text}` is no name of a Secret"), help);
        return None;
    }
    Some(NamedSecret { name: name.into(), field: cursor.path().into(), origin: cursor.origin() })
}

/// `None` where one cannot be read: to leave it out could trust too many.
fn read_names(fields: &Fields<'_>) -> Option<Arc<[Box<str>]>> {
    let Some(field) = fields.field("subjectAltNames") else { return Some([].into()) };
    let mut names = Vec::new();
    for item in field.items() {
        let text = item.text()?;
        if text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            let help = "write a URI such as a SPIFFE identity, a DNS name or an IP address";
            item.refuse("no certificate can have this name", help);
            return None;
        }
        names.push(text.into());
    }
    Some(names.into())
}

fn server_name(cursor: &Cursor<'_>) -> Option<Arc<str>> {
    let text = cursor.text()?;
    let is_good = !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| (1..=63).contains(&label.len()))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !is_good {
        cursor.refuse(format!("`{text}` is no server name"), "write a DNS name");
        return None;
    }
    Some(text.into())
}
