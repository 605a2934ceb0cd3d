//! Kubernetes' `Secret`, as far as it holds a certificate and key, or who vouches for clients.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::{Credential, CredentialError, TrustAnchors, TrustError};
use portcullis_model::RegistryCredentials;

use super::pull_credentials::read_pull_credentials;
use crate::codes;
use crate::metadata::{Metadata, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A Secret.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) metadata: Metadata,
    /// `None` where it holds something else than a certificate and key.
    pub(crate) credential: Option<Credential>,
    /// Who vouches for clients.
    pub(crate) authorities: Authorities,
    /// Who pulls images; `None` where it does not say.
    pub(crate) pull: Option<RegistryCredentials>,
}

/// The CA certificates of a Secret, with their revocation lists.
#[derive(Clone, Debug)]
pub(crate) enum Authorities {
    /// It has none.
    Absent,
    /// It has some that cannot be used; its certificate and key are not concerned.
    Unusable,
    /// These.
    Usable(TrustAnchors),
}

static SECRET: Schema = Schema {
    what: "a Secret",
    served: &["data", "stringData"],
    not_yet: &[],
    skipped: &["apiVersion", "kind", "metadata", "type", "immutable"],
};

/// The names under which a certificate and its key are found, in this order.
const NAMES: [(&str, &str); 2] = [("tls.crt", "tls.key"), ("cert", "key")];
const AUTHORITY_NAMES: [&str; 2] = ["ca.crt", "cacert"];
const REVOCATION_NAMES: [&str; 2] = ["ca.crl", "crl"];
const PULL_NAMES: [&str; 2] = [".dockerconfigjson", ".dockercfg"];
const STAPLE: &str = "tls.ocsp-staple";

/// Reads a Secret. No message ever shows a value.
pub(crate) fn read_secret(raw: &RawObject, report: &Report) -> Option<Secret> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&SECRET)?;
    let mut credential = None;
    for (certificate, key) in NAMES {
        let has = |name| has_entry(&root, name);
        match (has(certificate), has(key)) {
            (true, true) => {
                credential = read_credential(&root, certificate, key);
                break;
            }
            (false, false) => {}
            (true, false) => missing(&root, key, certificate),
            (false, true) => missing(&root, certificate, key),
        }
    }
    let credential = credential.and_then(|credential| add_staple(&root, credential));
    let pull = read_pull(&root);
    Some(Secret { metadata, credential, authorities: read_authorities(&root), pull })
}

/// Names and passwords of registries.
fn read_pull(root: &Fields<'_>) -> Option<RegistryCredentials> {
    let name = PULL_NAMES.into_iter().find(|name| has_entry(root, name))?;
    match read_pull_credentials(&read_entry(root, name)?) {
        Ok(credentials) => Some(credentials),
        Err(why) => {
            let message = format!("`{name}` {why}");
            let help = "make the Secret with `kubectl create secret docker-registry`";
            with_entry(root, name, |entry| {
                entry.report(Gravity::Degrades, codes::CREDENTIAL, message, help);
            });
            None
        }
    }
}

/// An OCSP response beside the certificate.
fn add_staple(root: &Fields<'_>, credential: Credential) -> Option<Credential> {
    if !has_entry(root, STAPLE) {
        return Some(credential);
    }
    match credential.with_staple(&read_entry(root, STAPLE)?) {
        Ok(credential) => Some(credential),
        Err(error) => {
            let (message, help) = (
                format!("`{STAPLE}` {error}"),
                "put the response there in DER, as base64 under `data`",
            );
            with_entry(root, STAPLE, |entry| {
                entry.report(Gravity::Breaks, codes::CREDENTIAL, message, help);
            });
            None
        }
    }
}

/// `ca.crt` with `ca.crl`, or `cacert` with `crl`. An empty entry, as issuers leave that have no authority to
/// tell, is none.
fn read_authorities(root: &Fields<'_>) -> Authorities {
    let filled = |name: &str| {
        has_entry(root, name)
            .then(|| read_entry(root, name))
            .filter(|entry| entry.as_ref().is_none_or(|bytes| !bytes.trim_ascii().is_empty()))
    };
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| filled(name).map(|entry| (name, entry)))
    };
    let (authorities, revocations) = (first(AUTHORITY_NAMES), first(REVOCATION_NAMES));
    let (name, authorities) = match (authorities, &revocations) {
        (Some((name, Some(authorities))), _) => (name, authorities),
        (Some(_), _) => return Authorities::Unusable,
        (None, None) => return Authorities::Absent,
        (None, Some((name, _))) => {
            let message = format!("the Secret has `{name}` but no `ca.crt`");
            let help = "a revocation list needs the certificate of the authority that issued it";
            root.cursor().report(Gravity::Degrades, codes::CREDENTIAL, message, help);
            return Authorities::Unusable;
        }
    };
    // One that cannot be decoded must not be taken for one that is not there.
    if matches!(revocations, Some((_, None))) {
        return Authorities::Unusable;
    }
    let list_name = revocations.as_ref().map_or("", |(name, _)| name);
    let lists = revocations.as_ref().and_then(|(_, lists)| lists.as_deref());
    match TrustAnchors::from_pem(&authorities, lists) {
        Ok(anchors) => Authorities::Usable(anchors),
        Err(error) => {
            let (name, help) = match &error {
                TrustError::Authority(_) => (name, "put the CA certificates there as PEM"),
                TrustError::Revocations(_) => (list_name, "put the revocation lists there as PEM"),
            };
            let message = format!("`{name}` {error}");
            with_entry(root, name, |entry| {
                entry.report(Gravity::Degrades, codes::CREDENTIAL, message, help);
            });
            Authorities::Unusable
        }
    }
}

fn has_entry(root: &Fields<'_>, name: &str) -> bool {
    ["stringData", "data"]
        .iter()
        .any(|map| root.field(map).is_some_and(|map| map.node().field(name).is_some()))
}

fn missing(root: &Fields<'_>, absent: &str, present: &str) {
    let message = format!("the Secret has `{present}` but no `{absent}`");
    let help = "a certificate needs its key, both as PEM";
    root.cursor().report(Gravity::Breaks, codes::CREDENTIAL, message, help);
}

fn read_credential(root: &Fields<'_>, certificate: &str, key: &str) -> Option<Credential> {
    let chain = read_entry(root, certificate);
    let private = read_entry(root, key);
    let error = match Credential::from_pem(&chain?, &private?) {
        Ok(credential) => return Some(credential),
        Err(error) => error,
    };
    let (name, help) = match error {
        CredentialError::Staple => (STAPLE, "put the response there in DER"),
        CredentialError::Certificate(_) => {
            (certificate, "put the certificate chain there as PEM, leaf first")
        }
        CredentialError::Key(_) => {
            (key, "put the private key there as PEM: PKCS#8, SEC1 or PKCS#1, not encrypted")
        }
        CredentialError::KeyKind(_) => {
            (key, "use an RSA (2048 bits or more), ECDSA P-256/P-384 or Ed25519 key")
        }
        CredentialError::Mismatch => (key, "put the key there that the certificate was issued for"),
    };
    let message = match &error {
        CredentialError::Mismatch => error.to_string(),
        _ => format!("`{name}` {error}"),
    };
    with_entry(root, name, |entry| entry.report(Gravity::Breaks, codes::CREDENTIAL, message, help));
    None
}

/// The bytes of an entry; `stringData` wins over `data`, as in Kubernetes.
fn read_entry(root: &Fields<'_>, name: &str) -> Option<Vec<u8>> {
    with_entry(root, name, |entry| {
        let text = entry.text()?;
        if entry.path().starts_with("stringData") {
            return Some(text.as_bytes().to_vec());
        }
        let text: String = text.split_ascii_whitespace().collect();
        let decoded = STANDARD.decode(text).ok();
        if decoded.is_none() {
            entry.refuse("this is not base64", "encode it, or move it to `stringData`");
        }
        decoded
    })?
}

fn with_entry<T>(root: &Fields<'_>, name: &str, then: impl FnOnce(&Cursor<'_>) -> T) -> Option<T> {
    for map in ["stringData", "data"] {
        let Some(map) = root.field(map) else { continue };
        for (key, entry) in map.entries() {
            if key == name && !entry.is_null() {
                return Some(then(&entry));
            }
        }
    }
    None
}
