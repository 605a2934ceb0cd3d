//! Kubernetes' `Secret`, as far as it holds a certificate and key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::{Credential, CredentialError};

use crate::codes;
use crate::draft::RawObject;
use crate::metadata::{Metadata, read_metadata};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A Secret.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) metadata: Metadata,
    /// `None` where it holds something else than a certificate and key.
    pub(crate) credential: Option<Credential>,
}

static SECRET: Schema = Schema {
    what: "a Secret",
    served: &["data", "stringData"],
    not_yet: &[],
    skipped: &["apiVersion", "kind", "metadata", "type", "immutable"],
};

/// The names under which a certificate and its key are found, in this order.
const NAMES: [(&str, &str); 2] = [("tls.crt", "tls.key"), ("cert", "key")];

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
    Some(Secret { metadata, credential })
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
        CredentialError::Staple => ("tls.ocsp-staple", "put the OCSP response there in DER, encoded as base64"),
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
