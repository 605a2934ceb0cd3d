//! Reading a body: where its bytes end and what follows them.

use bytes::BytesMut;

use crate::http1::chunk::Chunks;
use crate::http1::decoded::{Decoded, take};
use crate::http1::error::FramingError;
use crate::http1::framing::Framing;
use crate::http1::limits::Limits;

/// Reads one body off the front of a buffer.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunks),
    UntilClose,
    Ended,
}

impl BodyDecoder {
    /// A body framed so.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunks::default()),
            Framing::UntilClose => State::UntilClose,
        };
        BodyDecoder { state }
    }

    /// With other limits on its trailers than [`Limits::REQUEST`].
    #[must_use]
    pub fn with_trailer_limits(mut self, limits: Limits) -> Self {
        if let State::Chunked(chunks) = &mut self.state {
            chunks.limits = limits;
        }
        self
    }

    /// Takes what it can off the front of a buffer.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, FramingError> {
        let decoded = match &mut self.state {
            State::Ended => Decoded::End,
            State::UntilClose => take(buffer, u64::MAX),
            State::Length(left) => {
                let decoded = take(buffer, *left);
                if let Decoded::Data(data) = &decoded {
                    *left -= data.len() as u64;
                }
                decoded
            }
            State::Chunked(chunks) => chunks.decode(buffer)?,
        };
        match (&decoded, &self.state) {
            (Decoded::Trailers(_) | Decoded::End, _) | (_, State::Length(0)) => {
                self.state = State::Ended;
            }
            _ => {}
        }
        Ok(decoded)
    }

    /// Whether the body has ended: [`decode`](Self::decode) would say [`Decoded::End`].
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// How many bytes are still to come, where that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Ended => Some(0),
            State::Length(left) => Some(left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The connection ended. Only a body that runs until then is complete by that.
    pub fn end_of_input(&mut self) -> Result<(), FramingError> {
        match self.state {
            State::Ended => Ok(()),
            State::UntilClose => {
                self.state = State::Ended;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(FramingError::Truncated),
        }
    }
}
