//! Files of the store, machine code among them.

use portcullis_store::{decode_entry, encode_entry};

/// What is accepted is what would have been written.
pub(crate) fn run(input: &[u8]) {
    if let Some(contents) = decode_entry("name", input.to_vec()) {
        assert!(encode_entry("name", &contents) == input, "a file that nobody wrote is believed");
    }
    let file = encode_entry("name", input);
    assert!(decode_entry("name", file.clone()).as_deref() == Some(input), "it does not come back");
    assert!(decode_entry("other", file).is_none(), "it stands under another name");
}
