//! The wire format of header maps: a count, the lengths, then names and values each closed by a zero byte.

/// No map larger than this is decoded, as in proxy-wasm-cpp-host.
const MAX_BYTES: usize = 1 << 20;
/// Nor one of more pairs.
const MAX_PAIRS: usize = 1024;

/// A name and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Why bytes are not a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// More than 1 MiB, or more than 1024 pairs.
    #[error("the map is larger than 1 MiB or has more than 1024 pairs")]
    TooLarge,
    /// The bytes end before the lengths say so.
    #[error("the map ends in the middle of a pair")]
    Truncated,
    /// Bytes follow the last pair.
    #[error("bytes follow the last pair of the map")]
    Trailing,
    /// A name or value is not closed by a zero byte.
    #[error("a name or value of the map is not closed by a zero byte")]
    Unterminated,
}

/// Decodes a map. The pairs borrow from `bytes`; work and memory are bounded by its length, 1 MiB and
/// 1024 pairs at most. Nothing and a single zero byte are the empty map.
pub fn decode_pairs(bytes: &[u8]) -> Result<Vec<Pair<'_>>, MapError> {
    if bytes.is_empty() || bytes == [0] {
        return Ok(Vec::new());
    }
    if bytes.len() > MAX_BYTES {
        return Err(MapError::TooLarge);
    }
    let (count, rest) = take_u32(bytes)?;
    if count > MAX_PAIRS {
        return Err(MapError::TooLarge);
    }
    let (mut lengths, mut data) = rest.split_at_checked(count * 8).ok_or(MapError::Truncated)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, value);
        (name, lengths) = take_u32(lengths)?;
        (value, lengths) = take_u32(lengths)?;
        let (name_bytes, value_bytes);
        (name_bytes, data) = take_terminated(data, name)?;
        (value_bytes, data) = take_terminated(data, value)?;
        pairs.push((name_bytes, value_bytes));
    }
    if data.is_empty() { Ok(pairs) } else { Err(MapError::Trailing) }
}

/// Encodes a map; decoding gives the pairs back.
pub fn encode_pairs(pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; encoded_length(pairs.iter().copied())];
    encode_pairs_into(&mut bytes, pairs.len(), pairs.iter().copied());
    bytes
}

/// How many bytes a map takes.
pub(crate) fn encoded_length<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> usize {
    pairs.fold(4, |sum, (name, value)| sum + 8 + name.len() + 1 + value.len() + 1)
}

/// Encodes so many pairs into a buffer of exactly [`encoded_length`]; a shorter one is left incomplete.
pub(crate) fn encode_pairs_into<'a>(
    buffer: &mut [u8],
    count: usize,
    pairs: impl Iterator<Item = Pair<'a>>,
) {
    let head = 4 + count * 8;
    let Some((lengths, data)) = buffer.split_at_mut_checked(head) else { return };
    let mut lengths = Writer(lengths);
    let mut data = Writer(data);
    lengths.put_u32(count);
    for (name, value) in pairs {
        lengths.put_u32(name.len());
        lengths.put_u32(value.len());
        data.put(name);
        data.put(&[0]);
        data.put(value);
        data.put(&[0]);
    }
}

struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let whole = std::mem::take(&mut self.0);
        if let Some((to, rest)) = whole.split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            self.0 = rest;
        }
    }

    fn put_u32(&mut self, number: usize) {
        self.put(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
}

fn take_u32(bytes: &[u8]) -> Result<(usize, &[u8]), MapError> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(MapError::Truncated)?;
    Ok((u32::from_le_bytes(*number) as usize, rest))
}

fn take_terminated(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), MapError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(MapError::Truncated)?;
    match rest.split_first() {
        Some((0, rest)) => Ok((taken, rest)),
        Some(_) => Err(MapError::Unterminated),
        None => Err(MapError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = Vec<(Vec<u8>, Vec<u8>)>;

    fn encode(pairs: &Owned) -> Vec<u8> {
        encode_pairs(&pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>())
    }

    #[test]
    fn the_bytes_are_as_the_specification_draws_them() {
        let bytes = encode(&vec![(b"a".to_vec(), b"xy".to_vec())]);
        assert_eq!(bytes, b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0xy\0");
    }

    #[test]
    fn both_forms_of_empty_are_empty() {
        assert_eq!(decode_pairs(b""), Ok(vec![]));
        assert_eq!(decode_pairs(b"\0"), Ok(vec![]));
        assert_eq!(decode_pairs(&[0; 4]), Ok(vec![]));
    }

    #[test]
    fn what_lies_about_its_size_is_refused() {
        assert_eq!(decode_pairs(&[255; 4]), Err(MapError::TooLarge));
        assert_eq!(decode_pairs(b"\x01\0\0\0\x01\0\0\0"), Err(MapError::Truncated));
        let mut bytes = encode(&vec![(b"a".to_vec(), b"b".to_vec())]);
        bytes.push(0);
        assert_eq!(decode_pairs(&bytes), Err(MapError::Trailing));
        bytes.pop();
        *bytes.last_mut().unwrap() = b'!';
        assert_eq!(decode_pairs(&bytes), Err(MapError::Unterminated));
        assert_eq!(decode_pairs(&vec![0; MAX_BYTES + 1]), Err(MapError::TooLarge));
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(
            pairs in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..9), proptest::collection::vec(any::<u8>(), 0..9)), 0..9)
        ) {
            let bytes = encode(&pairs);
            let decoded: Owned = decode_pairs(&bytes).unwrap().into_iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(decoded, pairs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_pairs(&bytes);
        }
    }
}
