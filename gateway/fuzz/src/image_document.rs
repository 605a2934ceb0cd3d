//! Manifests and indexes of registries, and the ways in which they want to know who asks.

use portcullis_supply::{Document, read_challenges};

/// What is accepted names everything by SHA-256.
pub(crate) fn run(input: &[u8]) {
    if let Ok(document) = Document::parse(input) {
        let entries = match &document {
            Document::Manifest(manifest) => &manifest.layers,
            Document::Index(index) => {
                index.choose();
                &index.manifests
            }
        };
        let is_plain = |digest: &str| digest.len() == 71 && digest.starts_with("sha256:");
        assert!(entries.iter().all(|entry| is_plain(&entry.digest)), "{document:?}");
    }
    if let Ok(text) = std::str::from_utf8(input) {
        read_challenges(text);
    }
}
