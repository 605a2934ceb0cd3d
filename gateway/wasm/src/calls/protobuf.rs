//! As much of protobuf's wire format as the foreign functions need.

/// One field of a message: its number and, for the kinds that have it, its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// The contents of a length-delimited field; `None` for numbers, which are skipped.
    pub(super) bytes: Option<&'a [u8]>,
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, one after the other; ends after the first malformed one.
pub(super) struct Fields<'a>(&'a [u8]);

/// Reads a message. Nothing is copied.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, Malformed> {
        let tag = self.varint()?;
        let bytes = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Some(self.take(length)?)
            }
            5 => self.take(4).map(|_| None)?,
            _ => return Err(Malformed),
        };
        Ok(Field { number: tag >> 3, bytes })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for nth in 0..10 {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(7 * nth).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

/// Appends a boolean field; `false` is the default and takes no bytes.
pub(super) fn put_true(message: &mut Vec<u8>, number: u8) {
    message.extend([number << 3, 1]);
}

/// Appends a text of at most 127 bytes; a longer one is cut.
pub(super) fn put_short_text(message: &mut Vec<u8>, number: u8, text: &str) {
    let bytes = text.as_bytes().get(..127).unwrap_or(text.as_bytes());
    message.extend([(number << 3) | 2, u8::try_from(bytes.len()).unwrap_or(0)]);
    message.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_of_all_wire_types_are_walked() {
        let message = b"\x0a\x02hi\x10\xac\x02\x1d1234\x21\x31\x32\x33\x34\x35\x36\x37\x38\x2a\x00";
        let read: Vec<_> = fields(message).map(Result::unwrap).collect();
        let numbers: Vec<_> = read.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(read[0].bytes, Some(&b"hi"[..]));
        assert_eq!(read[4].bytes, Some(&b""[..]));
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed_and_ends_the_walk() {
        let read: Vec<_> = fields(b"\x0a\x05hi").collect();
        assert_eq!(read, [Err(Malformed)]);
        assert_eq!(fields(&[0xff; 11]).next(), Some(Err(Malformed)));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        put_true(&mut message, 1);
        put_short_text(&mut message, 2, "no");
        let read: Vec<_> = fields(&message).map(Result::unwrap).collect();
        assert_eq!(read[0], Field { number: 1, bytes: None });
        assert_eq!(read[1], Field { number: 2, bytes: Some(b"no") });
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = fields(&message).count();
        }
    }
}
