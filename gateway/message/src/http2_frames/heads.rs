//! The heads of the frames in a stream of bytes that is cut anywhere.

use super::{DATA, RST_STREAM};

/// A head's bytes (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// And of an error code behind it.
const CODE: usize = 4;

const PADDED: u8 = 8;

/// One frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Of what follows.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The error code of RST_STREAM, else 0.
    pub(super) code: u32,
    /// The padding of DATA with the byte that tells its length.
    padding: u32,
}

impl FrameHead {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The data of DATA, without padding.
    pub(super) fn content(&self) -> u32 {
        self.length.saturating_sub(self.padding)
    }
}

/// Finds the heads.
#[derive(Debug)]
pub(super) struct FrameHeads {
    /// What came of the present head.
    came: [u8; HEAD + CODE],
    length: usize,
    /// What is left of the present frame behind its head.
    left: u32,
}

impl FrameHeads {
    /// The first head comes after so many bytes.
    pub(super) fn after(bytes: u32) -> Self {
        FrameHeads { came: [0; HEAD + CODE], length: 0, left: bytes }
    }

    /// Whether a frame has just ended, or none has begun.
    pub(super) fn is_between(&self) -> bool {
        self.length == 0 && self.left == 0
    }

    /// The next head within `bytes`, which are taken up to it; all of them where there is none.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        self.skip(bytes);
        self.fill(bytes, HEAD)?;
        let head = self.head()?;
        let beyond = beyond(&head);
        self.fill(bytes, HEAD + beyond)?;
        self.left = head.length.saturating_sub(beyond as u32);
        self.length = 0;
        Some(self.with_beyond(head))
    }

    fn skip(&mut self, bytes: &mut &[u8]) {
        let skipped = bytes.len().min(self.left as usize);
        *bytes = bytes.get(skipped..).unwrap_or_default();
        // It is no more than `left`.
        self.left -= skipped as u32;
    }

    /// Has so many bytes of the head; `None` while they have not come.
    fn fill(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<()> {
        let missing = wanted.saturating_sub(self.length).min(bytes.len());
        let (taken, rest) = bytes.split_at_checked(missing)?;
        self.came.get_mut(self.length..self.length + missing)?.copy_from_slice(taken);
        *bytes = rest;
        self.length += missing;
        (self.length >= wanted).then_some(())
    }

    fn head(&self) -> Option<FrameHead> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4, ..] = self.came;
        Some(FrameHead {
            length: u32::from_be_bytes([0, l1, l2, l3]),
            kind,
            flags,
            // The first bit means nothing.
            stream: u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]),
            code: 0,
            padding: 0,
        })
    }

    fn with_beyond(&self, mut head: FrameHead) -> FrameHead {
        let [.., c1, c2, c3, c4] = self.came;
        match (head.kind, beyond(&head)) {
            (RST_STREAM, CODE) => head.code = u32::from_be_bytes([c1, c2, c3, c4]),
            (DATA, 1) => head.padding = u32::from(c1) + 1,
            _ => {}
        }
        head
    }
}

/// How many bytes behind a head belong to what is known of it.
fn beyond(head: &FrameHead) -> usize {
    match head.kind {
        RST_STREAM if head.length as usize >= CODE => CODE,
        DATA if head.has(PADDED) && head.length > 0 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(heads: &mut FrameHeads, mut bytes: &[u8]) -> Vec<FrameHead> {
        std::iter::from_fn(|| heads.next(&mut bytes)).collect()
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let mut bytes = b"preface".to_vec();
        bytes.extend_from_slice(b"\0\0\x03\0\x08\0\0\0\x01\x02pp");
        bytes.extend_from_slice(b"\0\0\x04\x03\0\x80\0\0\x01\0\0\0\x08");
        bytes.extend_from_slice(b"\0\0\0\x04\x01\0\0\0\0");
        let whole = found(&mut FrameHeads::after(7), &bytes);
        let [data, reset, settings] = whole[..] else { panic!("{whole:?}") };
        assert_eq!((data.length, data.stream, data.content()), (3, 1, 0));
        assert_eq!((reset.kind, reset.stream, reset.code), (RST_STREAM, 1, 8));
        assert_eq!((settings.kind, settings.length), (4, 0));
        for size in 1..bytes.len() {
            let mut heads = FrameHeads::after(7);
            let cut: Vec<_> =
                bytes.chunks(size).flat_map(|chunk| found(&mut heads, chunk)).collect();
            assert_eq!(cut, whole, "in pieces of {size}");
            assert!(heads.is_between());
        }
    }

    #[test]
    fn between_frames_is_where_one_has_ended() {
        let mut heads = FrameHeads::after(0);
        assert!(heads.is_between());
        found(&mut heads, b"\0\0\x02");
        assert!(!heads.is_between());
        found(&mut heads, b"\0\0\0\0\0\x01x");
        assert!(!heads.is_between());
        found(&mut heads, b"x");
        assert!(heads.is_between());
    }
}
