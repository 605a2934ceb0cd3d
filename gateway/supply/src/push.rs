//! Pushing a module as an image, and the signature beside it.

use std::collections::BTreeMap;

use bytes::Bytes;
use portcullis_crypto::SigningKey;
use portcullis_model::{ImageReference, RegistryLogin};
use serde_json::{Value, json};

use crate::SupplyError;
use crate::registry::{Encryption, Repository};
use crate::signing::sign_image;
use crate::transport::Transport;
use crate::upload::Sending;
use crate::written::{MANIFEST, NOTHING, descriptor, entry};

const CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const MODULE: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// Istio takes an artifact of exactly two layers: the module, and this.
const RUNTIME_CONFIG: &str = "application/vnd.module.wasm.runtime.config.v1+json";

/// A registry to which images are pushed.
pub struct PushRegistry {
    transport: Transport,
    login: Option<RegistryLogin>,
    encryption: Encryption,
}

/// What is pushed.
pub struct PushedImage {
    /// Where to; its tag names it.
    pub reference: ImageReference,
    /// The module.
    pub module: Bytes,
    /// What is said of it, as `org.opencontainers.image.title`.
    pub annotations: BTreeMap<String, String>,
}

impl PushRegistry {
    /// The registry is verified by these authorities, in PEM.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        authorities: &[u8],
        login: Option<RegistryLogin>,
        encryption: Encryption,
    ) -> Result<Self, SupplyError> {
        let transport = Transport::new(authorities);
        let transport = transport.map_err(|error| SupplyError::Malformed(error.to_string()))?;
        Ok(PushRegistry { transport, login, encryption })
    }

    /// Pushes an image, signed where there is a key, and names each step. The image's digest.
    ///
    /// # Errors
    /// Says what is wrong, and with whom. What was sent until then stays.
    pub async fn push(
        &self,
        image: &PushedImage,
        key: Option<&SigningKey>,
        say: &dyn Fn(&str),
    ) -> Result<String, SupplyError> {
        let reference = &image.reference;
        let mut repository = Repository::new(&self.transport, reference, self.login.as_ref())
            .spoken_to(self.encryption);
        for (what, bytes) in [
            ("the module", image.module.clone()),
            ("its configuration", Bytes::from_static(NOTHING)),
        ] {
            match repository.send_blob(bytes.clone()).await? {
                Sending::Done => say(&format!("sent {what}: {} bytes", bytes.len())),
                Sending::Spared => say(&format!("{what} is there already")),
            }
        }
        let manifest = Bytes::from(manifest(image).to_string());
        let descriptor = descriptor(MANIFEST, &manifest);
        // By its digest first: a tag never leads to what is not signed yet.
        repository.send_manifest(&descriptor.digest, MANIFEST, manifest.clone()).await?;
        if let Some(key) = key {
            sign_image(&mut repository, &descriptor, key, &image.annotations).await?;
            say("signed");
        }
        let tag = reference.tag.as_deref().unwrap_or("latest");
        repository.send_manifest(tag, MANIFEST, manifest).await?;
        say(&format!("tagged {tag}"));
        Ok(descriptor.digest)
    }
}

fn manifest(image: &PushedImage) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": entry(&descriptor(CONFIG, NOTHING)),
        "layers": [
            entry(&descriptor(MODULE, &image.module)),
            entry(&descriptor(RUNTIME_CONFIG, NOTHING)),
        ],
        "annotations": image.annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::layer_of;
    use crate::manifest::Document;

    #[test]
    fn the_manifest_is_an_artifact_of_two_layers() {
        let image = PushedImage {
            reference: ImageReference::parse("r.io/a:1").unwrap(),
            module: Bytes::from_static(b"\0asm"),
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        };
        let text = manifest(&image).to_string();
        let Ok(Document::Manifest(read)) = Document::parse(text.as_bytes()) else { panic!() };
        assert_eq!((read.layers.len(), layer_of(&read).unwrap().size), (2, 4));
        assert_eq!(layer_of(&read).unwrap().media_type, MODULE);
    }
}
