//! One file of the store: its contents behind a sum that covers its name too.

use portcullis_crypto::sha256;

const MAGIC: &[u8; 8] = b"PCSTORE1";
const SUM: usize = 32;

/// The file for contents under a name.
pub fn encode_entry(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(MAGIC.len() + SUM + contents.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&sum(name, contents));
    file.extend_from_slice(contents);
    file
}

/// The contents of a file; `None` where it is cut, changed, or that of another name.
pub fn decode_entry(name: &str, mut file: Vec<u8>) -> Option<Vec<u8>> {
    let rest = file.strip_prefix(MAGIC)?;
    let (found, contents) = rest.split_at_checked(SUM)?;
    if found != sum(name, contents) {
        return None;
    }
    file.drain(..MAGIC.len() + SUM);
    Some(file)
}

/// A file that is copied over another one proves nothing of that one's name.
fn sum(name: &str, contents: &[u8]) -> [u8; SUM] {
    let mut both = [0; 2 * SUM];
    let (first, second) = both.split_at_mut(SUM);
    first.copy_from_slice(&sha256(name.as_bytes()));
    second.copy_from_slice(&sha256(contents));
    sha256(&both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_kept_comes_back_and_nothing_else(contents: Vec<u8>, at: usize, bit in 0..8u8) {
            let file = encode_entry("name", &contents);
            prop_assert_eq!(decode_entry("name", file.clone()), Some(contents));
            prop_assert_eq!(decode_entry("other", file.clone()), None);
            let mut flipped = file.clone();
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert_eq!(decode_entry("name", flipped), None);
            prop_assert_eq!(decode_entry("name", file[..at].to_vec()), None);
        }
    }
}
