//! A piece of a body in a filter's hand.

use crate::Error;
use crate::message::Message;

/// A piece of a body; it goes on when the next is awaited, or the callback ends.
#[derive(Debug)]
pub struct Chunk<'a> {
    message: &'a mut Message,
    bytes: Vec<u8>,
}

impl<'a> Chunk<'a> {
    pub(crate) fn new(message: &'a mut Message, bytes: Vec<u8>) -> Self {
        Chunk { message, bytes }
    }

    /// Its bytes; at least one.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sends other bytes on in its place; none at all take it away.
    pub fn replace(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        let bytes = bytes.into();
        self.message.replace_piece(&bytes)?;
        self.bytes = bytes;
        Ok(())
    }
}
