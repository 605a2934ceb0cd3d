//! The framing of gRPC messages: one byte for compression, four for the length, the message.

use bytes::{Buf, Bytes, BytesMut};

const PREFIX: usize = 5;

/// A message as it is sent, uncompressed.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(0);
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// Why bytes are no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrpcFrameError {
    /// A message is compressed; no compression was offered.
    #[error("a message is compressed, which was not asked for")]
    Compressed,
    /// A message is larger than allowed.
    #[error("a message is too large")]
    TooLarge,
}

/// Gathers bytes as they come and gives whole messages. It holds one message and what came with its end.
#[derive(Debug)]
pub struct GrpcFrames {
    gathered: BytesMut,
    most: usize,
}

impl GrpcFrames {
    /// Messages of at most so many bytes.
    pub fn new(most: usize) -> Self {
        GrpcFrames { gathered: BytesMut::new(), most }
    }

    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// What came is none that may be read; nothing after it can be.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, GrpcFrameError> {
        let Some((prefix, _)) = self.gathered.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(GrpcFrameError::Compressed);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.most {
            return Err(GrpcFrameError::TooLarge);
        }
        if self.gathered.len() < PREFIX + length {
            return Ok(None);
        }
        self.gathered.advance(PREFIX);
        Ok(Some(self.gathered.split_to(length).freeze()))
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.gathered.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_not_be_read_is_refused_before_it_is_gathered() {
        let mut frames = GrpcFrames::new(4);
        frames.push(&[0, 0, 0, 0, 5]);
        assert_eq!(frames.next_message(), Err(GrpcFrameError::TooLarge));
        let mut frames = GrpcFrames::new(4);
        frames.push(&[1, 0, 0, 0, 1]);
        assert_eq!(frames.next_message(), Err(GrpcFrameError::Compressed));
    }

    proptest! {
        #[test]
        fn messages_come_out_however_the_bytes_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..5),
            cut in 1_usize..9,
        ) {
            let sent: Vec<u8> = messages.iter().flat_map(|message| frame(message).to_vec()).collect();
            let mut frames = GrpcFrames::new(20);
            let mut received = Vec::new();
            for piece in sent.chunks(cut) {
                frames.push(piece);
                while let Some(message) = frames.next_message().unwrap() {
                    received.push(message.to_vec());
                }
            }
            prop_assert_eq!(received, messages);
            prop_assert!(frames.is_empty());
        }
    }
}
