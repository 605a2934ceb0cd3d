//! How TLS ends at a Gateway's server, as it was written: certificates, clients, and where both are found.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_crypto::{Demand, PeerRules, TlsParameters};
use portcullis_model::Origin;

use crate::reader::Cursor;

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
    /// None: what is named must not be used, nor what was named before.
    Refused,
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
    /// Of Gateway API's `caCertificateRefs`; all of them vouch.
    ConfigMaps(Vec<CredentialName>),
    /// Nobody: what is named must not be used.
    Refused,
    /// The Secret of the server's own certificate, or the one beside it named `<name>-cacert`; the mesh's with
    /// the mesh's certificates.
    BesideCertificate,
}

/// The name of a Secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CredentialName {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Under the server's `tls`; one that begins with `spec.` is the whole path in the Gateway.
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
