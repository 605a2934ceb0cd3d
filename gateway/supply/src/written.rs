//! What is written into manifests that are pushed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Descriptor;
use crate::registry::digest_of;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A configuration in which nothing is said.
pub(crate) const NOTHING: &[u8] = b"{}";

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest_of(bytes),
        size: bytes.len() as u64,
        artifact_type: None,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

/// What a manifest says of something that is in the same repository.
pub(crate) fn entry(of: &Descriptor) -> Value {
    json!({"mediaType": of.media_type, "digest": of.digest, "size": of.size})
}
