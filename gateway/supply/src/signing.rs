//! Signing an image as cosign's version 3 does: a bundle that refers to it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use portcullis_crypto::{SigningKey, sha256};
use serde_json::{Value, json};

use crate::cosign::{SIGNED, STATEMENT, pre_authentication_encoding};
use crate::manifest::Document;
use crate::registry::Repository;
use crate::written::{MANIFEST, NOTHING, descriptor, entry};
use crate::{Descriptor, SupplyError};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// By which a registry says that it keeps the list of what refers to an image.
const KEPT_BY_REGISTRY: &str = "oci-subject";
const CREATED: &str = "org.opencontainers.image.created";

/// Signs an image that is there, and leaves the signature where it is looked for.
pub(crate) async fn sign_image(
    repository: &mut Repository<'_>,
    image: &Descriptor,
    key: &SigningKey,
    annotations: &BTreeMap<String, String>,
) -> Result<(), SupplyError> {
    let bundle = Bytes::from(bundle(&image.digest, key)?.to_string());
    let layer = descriptor(BUNDLE, &bundle);
    repository.send_blob(bundle).await?;
    repository.send_blob(Bytes::from_static(NOTHING)).await?;
    let said = said_of_it(annotations);
    let manifest = Bytes::from(
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": entry(&descriptor(EMPTY, NOTHING)),
            "layers": [entry(&layer)],
            "subject": entry(image),
            "annotations": said,
        })
        .to_string(),
    );
    let signature = descriptor(MANIFEST, &manifest);
    let answer = repository.send_manifest(&signature.digest, MANIFEST, manifest).await?;
    if answer.headers.contains_key(KEPT_BY_REGISTRY) {
        return Ok(());
    }
    add_by_tag(repository, image, &signature, &said).await
}

/// The list of what refers to an image, where the registry keeps none: an index under a tag made of the digest.
async fn add_by_tag(
    repository: &mut Repository<'_>,
    image: &Descriptor,
    signature: &Descriptor,
    said: &BTreeMap<String, String>,
) -> Result<(), SupplyError> {
    let tag = image.digest.replace(':', "-");
    let mut entries = match repository.manifest(&tag).await {
        Ok(known) => match known.document {
            Document::Index(index) => index.manifests,
            Document::Manifest(_) => Vec::new(),
        },
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => return Err(error),
    };
    entries.retain(|entry| entry.digest != signature.digest);
    let mut listed: Vec<Value> = entries.iter().map(listed_entry).collect();
    let own = Descriptor {
        artifact_type: Some(BUNDLE.to_owned()),
        annotations: said.clone(),
        ..signature.clone()
    };
    listed.push(listed_entry(&own));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
    repository.send_manifest(&tag, INDEX, Bytes::from(index.to_string())).await.map(|_| ())
}

fn listed_entry(of: &Descriptor) -> Value {
    let mut written = entry(of);
    if let Some(fields) = written.as_object_mut() {
        if let Some(kind) = &of.artifact_type {
            fields.insert("artifactType".to_owned(), json!(kind));
        }
        if !of.annotations.is_empty() {
            fields.insert("annotations".to_owned(), json!(of.annotations));
        }
    }
    written
}

fn said_of_it(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut said = BTreeMap::from([
        ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
        ("dev.sigstore.bundle.predicateType".to_owned(), SIGNED.to_owned()),
    ]);
    said.extend(annotations.get_key_value(CREATED).map(|(key, when)| (key.clone(), when.clone())));
    said
}

/// An envelope around a statement that names the image.
fn bundle(digest: &str, key: &SigningKey) -> Result<Value, SupplyError> {
    let bare = digest.strip_prefix("sha256:").unwrap_or(digest);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": bare}}],
        "predicateType": SIGNED,
        "predicate": {},
    })
    .to_string();
    let signed = pre_authentication_encoding(STATEMENT, statement.as_bytes());
    let signature = key
        .sign(&signed)
        .map_err(|_| SupplyError::Signature("the key signs nothing".to_owned()))?;
    Ok(json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {
            "publicKey": {"hint": STANDARD.encode(sha256(key.public_der()))},
        },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosign::Bundle;

    /// RFC 8032 section 7.1, test 1.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn what_is_signed_here_is_verified_here() {
        let key = SigningKey::from_pem(KEY.as_bytes()).unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = bundle(&digest, &key).unwrap().to_string();
        let read = Bundle::parse(text.as_bytes()).unwrap();
        assert_eq!(read.names(&digest, &key.public_key().unwrap()), Ok(()));
        let other = format!("sha256:{}", "b".repeat(64));
        assert!(read.names(&other, &key.public_key().unwrap()).is_err());
    }
}
