//! A header map of the host: read lazily, multi-valued, changed in place.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::HostError;
use crate::host::{self, MapKind};

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

/// The ABI's wire form of a map: count, lengths of all names and values, then each followed by a zero byte.
#[derive(Debug)]
pub(crate) struct Packed(Vec<u8>);

impl Packed {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Ends early where the bytes are not what they claim.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let count = read_length(&self.0, 0).unwrap_or(0);
        let mut at = 4 + count.saturating_mul(8);
        (0..count).map_while(move |index| {
            let name = self.0.get(at..)?.get(..read_length(&self.0, 4 + index * 8)?)?;
            at += name.len() + 1;
            let value = self.0.get(at..)?.get(..read_length(&self.0, 8 + index * 8)?)?;
            at += value.len() + 1;
            Some((name, value))
        })
    }

    /// Packs pairs, for local replies.
    pub(crate) fn pack(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_length(&mut bytes, pairs.len());
        for (name, value) in pairs {
            write_length(&mut bytes, name.len());
            write_length(&mut bytes, value.len());
        }
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        bytes
    }
}

fn read_length(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// Guest memory ends at 4 GiB, so no length is cut.
fn write_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Packed(bytes.to_vec()).iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn what_was_packed_is_found_again() {
        let packed = Packed::pack(&[(b"a", b"1"), (b"b", b""), (b"A", b"2")]);
        assert_eq!(unpacked(&packed).len(), 3);
        let packed = Packed(packed);
        assert_eq!(packed.values("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(packed.values("b").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn cut_or_lying_bytes_end_the_map() {
        let packed = Packed::pack(&[(b"name", b"value"), (b"other", b"thing")]);
        for length in 0..packed.len() {
            assert!(unpacked(&packed[..length]).len() <= 2);
        }
        assert!(unpacked(&[0]).is_empty());
        assert!(unpacked(&[255; 16]).is_empty());
    }
}
