//! Tiny guests written as WebAssembly text.

/// Translates WebAssembly text to a module.
///
/// # Panics
/// When the text is wrong; the message points to the place.
pub fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}
