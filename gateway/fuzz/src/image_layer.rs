//! Layers of images: archives, compressed or not.

use portcullis_supply::{find_in_tar, find_module, gunzip};

/// No more comes out than is allowed.
const LIMIT: usize = 64 << 10;

/// What comes out is a module within the limit.
pub(crate) fn run(input: &[u8]) {
    if let Ok(unpacked) = gunzip(input, LIMIT) {
        assert!(unpacked.len() <= LIMIT, "more came out than is allowed");
    }
    find_in_tar(input, "plugin.wasm");
    if let Ok(module) = find_module(input.to_vec(), LIMIT) {
        assert!(module.len() <= LIMIT && module.starts_with(b"\0asm"), "this is no module");
    }
}
