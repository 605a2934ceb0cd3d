//! What modules say that they touch, and what operators grant.

use portcullis_model::Capabilities;
use portcullis_wasm::read_capability_manifest;

/// What is read is written alike; no manifest gives more than there is.
pub(crate) fn run(input: &[u8]) {
    if let Ok(Some(declared)) = read_capability_manifest(input) {
        assert!(declared.beyond(&Capabilities::compatible()).is_empty(), "{declared}");
    }
    let section = [&[23][..], b"portcullis.capabilities", input].concat();
    if section.len() < 128 {
        let length = [u8::try_from(section.len()).unwrap_or(0)];
        let module = [b"\0asm\x01\0\0\0\0", &length[..], &section].concat();
        // Whatever comes of it.
        let _ = read_capability_manifest(&module);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(read) = Capabilities::parse(text)
        && read != Capabilities::none()
    {
        assert!(Capabilities::parse(&read.to_string()) == Ok(read), "it is read otherwise");
    }
}
