//! The lines of a head, each ended by CRLF alone (RFC 9112 section 2.2).

use std::ops::Range;

use smallvec::SmallVec;

use crate::http1::error::HeadError;

/// The lines at the front of a buffer, up to the empty one that ends a head.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Where each line feed is. Most heads have fewer lines than these.
    ends: SmallVec<[u32; 32]>,
    whole: bool,
}

impl Lines {
    /// Finds the lines; not more than `most`, the empty one not counted.
    pub(crate) fn find(buffer: &[u8], most: usize) -> Result<Self, HeadError> {
        let (mut lines, mut start) = (Lines::default(), 0);
        for end in memchr::memchr_iter(b'\n', buffer) {
            if buffer.get(start..end).and_then(<[u8]>::last) != Some(&b'\r') {
                return Err(HeadError::BareLineFeed);
            }
            if end == start + 1 {
                lines.whole = true;
                lines.push(end)?;
                break;
            }
            if lines.ends.len() == most {
                return Err(HeadError::TooManyFields);
            }
            lines.push(end)?;
            start = end + 1;
        }
        Ok(lines)
    }

    /// How many bytes they are, where the empty line is among them.
    pub(crate) fn whole_length(&self) -> Option<usize> {
        self.ends.last().filter(|_| self.whole).map(|end| *end as usize + 1)
    }

    /// How many there are, the empty one not counted.
    pub(crate) fn count(&self) -> usize {
        self.ends.len() - usize::from(self.whole)
    }

    /// Where they lie, without what ends them and without the empty one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.ends.iter().take(self.count()).map(move |end| {
            let line = start..*end as usize - 1;
            start = *end as usize + 1;
            line
        })
    }

    fn push(&mut self, end: usize) -> Result<(), HeadError> {
        self.ends.push(u32::try_from(end).map_err(|_| HeadError::TooLarge)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(buffer: &str) -> Result<(Vec<&str>, Option<usize>), HeadError> {
        let lines = Lines::find(buffer.as_bytes(), 2)?;
        let texts: Vec<_> = lines.iter().map(|line| &buffer[line]).collect();
        assert_eq!(texts.len(), lines.count());
        Ok((texts, lines.whole_length()))
    }

    #[test]
    fn lines_end_with_an_empty_one() {
        assert_eq!(found(""), Ok((vec![], None)));
        assert_eq!(found("a\r"), Ok((vec![], None)));
        assert_eq!(found("a\r\nb: c\r\n\r"), Ok((vec!["a", "b: c"], None)));
        assert_eq!(found("a\r\nb: c\r\n\r\nd\n"), Ok((vec!["a", "b: c"], Some(11))));
        assert_eq!(found("\r\na\n"), Ok((vec![], Some(2))));
        assert_eq!(found("a\rb\r\n"), Ok((vec!["a\rb"], None)));
        for bare in ["\n", "a\n", "a\r\n\n", "a\r\nb\n"] {
            assert_eq!(found(bare), Err(HeadError::BareLineFeed), "{bare:?}");
        }
        assert_eq!(found("a\r\nb\r\nc\r\n"), Err(HeadError::TooManyFields));
    }
}
