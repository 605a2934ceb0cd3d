//! The module in an image's layer.

use crate::gzip::gunzip;
use crate::tar::find_in_tar;
use crate::{Descriptor, Manifest, SupplyError};

/// How Istio's images name the module.
const MODULE_NAME: &str = "plugin.wasm";
const WASM: &[u8] = b"\0asm";
/// Room for what stands beside the module in an archive.
const BESIDE: usize = 16 << 20;

/// Media types of a layer that is the module itself.
const BARE: [&str; 2] = ["application/vnd.module.wasm.content.layer.v1+wasm", "application/wasm"];

/// The layer that holds the module: one that is the module itself, else the last one, an archive.
pub(crate) fn layer_of(manifest: &Manifest) -> Option<&Descriptor> {
    let bare = manifest.layers.iter().find(|layer| BARE.contains(&layer.media_type.as_str()));
    bare.or_else(|| manifest.layers.last())
}

/// The module in a layer: the layer itself, or `plugin.wasm` in an archive, compressed or not. What it is, its own
/// first bytes say; registries and tools disagree about media types.
///
/// # Errors
/// There is none, or it is larger than `limit` bytes.
pub fn find_module(layer: Vec<u8>, limit: usize) -> Result<Vec<u8>, SupplyError> {
    let module = if layer.starts_with(WASM) {
        layer
    } else if layer.starts_with(b"\x1f\x8b") {
        let archive = gunzip(&layer, limit.saturating_add(BESIDE))?;
        if archive.starts_with(WASM) { archive } else { in_archive(&archive)? }
    } else {
        in_archive(&layer)?
    };
    if module.len() > limit {
        return Err(SupplyError::TooLarge { what: "the module".to_owned(), limit });
    }
    Ok(module)
}

fn in_archive(archive: &[u8]) -> Result<Vec<u8>, SupplyError> {
    match find_in_tar(archive, MODULE_NAME) {
        Some(module) if module.starts_with(WASM) => Ok(module.to_vec()),
        Some(_) => Err(SupplyError::Malformed(format!("`{MODULE_NAME}` in the layer is no Wasm"))),
        None => Err(SupplyError::Malformed(format!(
            "the layer is neither Wasm nor an archive with `{MODULE_NAME}`"
        ))),
    }
}
