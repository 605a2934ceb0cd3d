//! Pulling the module of an image.

use crate::SupplyError;
use crate::layer::{find_module, layer_of};
use crate::manifest::Document;
use crate::registry::{Known, Repository};

/// Layers may be somewhat larger than the module that is in them: an archive, in the worst case not compressed.
const BESIDE: usize = 16 << 20;

/// An image whose manifests are known.
pub(crate) struct Image {
    /// The digests by which it is known: what its name leads to, and the manifest that was chosen of an index.
    pub(crate) digests: Vec<String>,
    chosen: Known,
}

impl Image {
    /// What a name leads to.
    pub(crate) async fn find(
        repository: &mut Repository<'_>,
        version: &str,
    ) -> Result<Self, SupplyError> {
        let named = repository.manifest(version).await?;
        let Document::Index(index) = &named.document else {
            return Ok(Image { digests: vec![named.digest.clone()], chosen: named });
        };
        let none = || SupplyError::Malformed("the index has no image".to_owned());
        let entry = index.choose().ok_or_else(none)?;
        let chosen = repository.manifest(&entry.digest).await?;
        if matches!(chosen.document, Document::Index(_)) {
            return Err(SupplyError::Malformed("the index leads to another index".to_owned()));
        }
        Ok(Image { digests: vec![named.digest, chosen.digest.clone()], chosen })
    }

    /// Its module, of at most `limit` bytes.
    pub(crate) async fn module(
        &self,
        repository: &mut Repository<'_>,
        limit: usize,
    ) -> Result<Vec<u8>, SupplyError> {
        let none = || SupplyError::Malformed("the image has no layer".to_owned());
        let Document::Manifest(manifest) = &self.chosen.document else { return Err(none()) };
        let layer = layer_of(manifest).ok_or_else(none)?;
        let bytes = repository.blob(layer, limit.saturating_add(BESIDE)).await?;
        find_module(bytes, limit)
    }
}
