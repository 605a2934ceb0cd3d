//! A header map of the host: read lazily, multi-valued, changed in place.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::HostError;
use crate::abi::MapKind;
use crate::host;
use crate::packed::Packed;

/// The headers of a request or a response. Names are matched in any case; `:path` and its like are among them.
///
/// [`first`](Headers::first) asks the host for one value. [`all`](Headers::all) and [`iter`](Headers::iter) fetch the
/// whole map in one packed call, once, and borrow from it until the next change.
#[derive(Debug)]
pub struct Headers {
    map: MapKind,
    packed: OnceCell<Packed>,
}

impl Headers {
    pub(crate) fn new(map: MapKind) -> Self {
        Headers { map, packed: OnceCell::new() }
    }

    /// The first value of a header; None when there is none.
    pub fn first(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.packed.get() {
            Some(packed) => packed.first(name).map(Cow::Borrowed),
            None => host::header_value(self.map, name).ok().flatten().map(Cow::Owned),
        }
    }

    /// The first value as text; None when there is none or it is not UTF-8.
    pub fn first_text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.first(name)? {
            Cow::Borrowed(value) => std::str::from_utf8(value).ok().map(Cow::Borrowed),
            Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
        }
    }

    /// All values of a header, in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.packed().values(name)
    }

    /// All headers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.packed().iter()
    }

    /// Replaces all values of a header by one.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.packed.take();
        host::replace_header(self.map, name, value.as_ref())
    }

    /// Adds a value, beside those there are.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.packed.take();
        host::add_header(self.map, name, value.as_ref())
    }

    /// Removes all values of a header; it need not exist.
    pub fn remove(&mut self, name: &str) -> Result<(), HostError> {
        self.packed.take();
        host::remove_header(self.map, name)
    }

    /// A map that the host does not give is empty.
    fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| Packed(host::header_pairs(self.map).unwrap_or_default()))
    }
}
