//! Signatures of images, in both of cosign's formats.

use std::sync::LazyLock;

use portcullis_crypto::PublicKey;
use portcullis_supply::{Bundle, SimpleSigning};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A key of which nobody has the other half.
static KEY: LazyLock<Option<PublicKey>> = LazyLock::new(|| {
    let head = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    PublicKey::from_der(&[&head[..], &[9; 32]].concat()).ok()
});

/// Nothing that is made up vouches for anything; keys are read without a panic.
pub(crate) fn run(input: &[u8]) {
    if let (Some(bundle), Some(key)) = (Bundle::parse(input), &*KEY) {
        assert!(bundle.names(DIGEST, key).is_err(), "a forged bundle vouches for an image");
    }
    let (signature, payload) = input.split_at(input.len().min(88));
    let signature = String::from_utf8_lossy(signature);
    if let (Some(simple), Some(key)) = (SimpleSigning::new(payload.to_vec(), &signature), &*KEY) {
        assert!(simple.names(DIGEST, key).is_err(), "a forged signature vouches for an image");
    }
    // Whatever comes of it.
    let _ = PublicKey::all_from_pem(input);
}
