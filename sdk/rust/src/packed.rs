//! Header maps in the ABI's wire form, read in place.

/// The ABI's wire form of a map: count, lengths of all names and values, then each followed by a zero byte.
#[derive(Debug)]
pub(crate) struct Packed(pub(crate) Vec<u8>);

impl Packed {
    /// The first value of a name in any case.
    pub(crate) fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All values of a name in any case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All pairs; ends early where the bytes are not what they claim.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
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

    /// Packs pairs, for local replies and calls; no pairs are no bytes.
    pub(crate) fn pack<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if pairs.is_empty() {
            return bytes;
        }
        write_length(&mut bytes, pairs.len());
        for (name, value) in pairs {
            write_length(&mut bytes, name.as_ref().len());
            write_length(&mut bytes, value.as_ref().len());
        }
        for (name, value) in pairs {
            for part in [name.as_ref(), value.as_ref()] {
                bytes.extend_from_slice(part);
                bytes.push(0);
            }
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
        let packed = Packed::pack(&[("a", "1"), ("b", ""), ("A", "2")]);
        assert_eq!(unpacked(&packed).len(), 3);
        let packed = Packed(packed);
        assert_eq!(packed.values("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(packed.values("b").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn cut_or_lying_bytes_end_the_map() {
        let packed = Packed::pack(&[("name", "value"), ("other", "thing")]);
        for length in 0..packed.len() {
            assert!(unpacked(&packed[..length]).len() <= 2);
        }
        assert!(unpacked(&[0]).is_empty());
        assert!(Packed::pack::<&str, &str>(&[]).is_empty());
        assert!(unpacked(&[255; 16]).is_empty());
    }
}
