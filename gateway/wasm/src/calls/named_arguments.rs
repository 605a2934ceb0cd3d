//! The arguments of our own foreign functions: names and values in the format of header maps, which every SDK writes.

use crate::abi::{Pair, decode_pairs};
use crate::call_end::{CallError, bad_argument};

/// Arguments by name.
pub(super) struct NamedArguments<'a>(Vec<Pair<'a>>);

impl<'a> NamedArguments<'a> {
    /// Reads them.
    pub(super) fn read(arguments: &'a [u8]) -> Result<Self, CallError> {
        let pairs = decode_pairs(arguments);
        pairs
            .map(NamedArguments)
            .map_err(|_| bad_argument("the arguments are not in the map format"))
    }

    /// Every value of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(own, _)| *own == name.as_bytes()).map(|(_, value)| *value)
    }

    /// A value that has to be there.
    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8], CallError> {
        self.all(name).next().ok_or_else(|| bad_argument("an argument is missing"))
    }

    /// A text that has to be there.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, CallError> {
        as_text(self.bytes(name)?)
    }

    /// A text, where it is there.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, CallError> {
        self.all(name).next().map(as_text).transpose()
    }

    /// A number in decimal digits that has to be there.
    pub(super) fn number(&self, name: &str) -> Result<u64, CallError> {
        self.optional_number(name)?.ok_or_else(|| bad_argument("an argument is missing"))
    }

    /// The same, where it is there.
    pub(super) fn optional_number(&self, name: &str) -> Result<Option<u64>, CallError> {
        let parse = |text: &str| text.parse().map_err(|_| bad_argument("a number is none"));
        self.optional_text(name)?.map(parse).transpose()
    }
}

/// A value as text.
pub(super) fn as_text(value: &[u8]) -> Result<&str, CallError> {
    std::str::from_utf8(value).map_err(|_| bad_argument("an argument is no text"))
}
