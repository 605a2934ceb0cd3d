//! What a file is that somebody takes for a module.

use std::fmt;

/// Told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A WebAssembly module, version 1.
    Module,
    /// A WebAssembly component.
    Component,
    /// A program or library of some operating system.
    Native,
    /// WebAssembly as text.
    Text,
    /// An archive, as images hold.
    Archive,
    /// Too short to be anything.
    Stump,
    /// Something else.
    Unknown,
}

/// The kind of these bytes.
pub(crate) fn kind_of(bytes: &[u8]) -> FileKind {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => FileKind::Module,
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => FileKind::Component,
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] => FileKind::Native,
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => FileKind::Native,
        [0x1f, 0x8b, ..] | [b'P', b'K', ..] => FileKind::Archive,
        text if text.trim_ascii_start().starts_with(b"(module") => FileKind::Text,
        short if short.len() < 8 => FileKind::Stump,
        _ => FileKind::Unknown,
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Module => "a module",
            FileKind::Component => "a WebAssembly component",
            FileKind::Native => "a program or library for an operating system",
            FileKind::Text => "WebAssembly as text",
            FileKind::Archive => "an archive",
            FileKind::Stump => "empty or cut short",
            FileKind::Unknown => "something else",
        })
    }
}
