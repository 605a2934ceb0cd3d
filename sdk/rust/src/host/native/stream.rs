//! One request at the mock host: both messages, which parts of them a filter may touch now, and what it asked for.

use crate::HostError;
use crate::abi::{BufferKind, MapKind, StreamKind};

pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Whether a filter may touch a part of a message. As in Envoy, a part that has gone on is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    #[default]
    None,
    Read,
    Change,
}

/// A part of a message.
#[derive(Debug, Default)]
pub(crate) struct Part<T> {
    pub(crate) content: T,
    pub(crate) reach: Reach,
}

/// What is at the filter of a request or a response, before it goes on.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub(crate) headers: Part<Headers>,
    pub(crate) buffer: Part<Vec<u8>>,
    pub(crate) trailers: Part<Headers>,
    /// The filter asked that the message goes on.
    pub(crate) resumed: bool,
}

/// A reply as the filter gave it to the host.
#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub(crate) status: u16,
    pub(crate) details: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) root: u32,
    pub(crate) request: Half,
    pub(crate) response: Half,
    pub(crate) reply: Option<LocalReply>,
    /// The filter closed it without an answer.
    pub(crate) closed: bool,
    /// The filter said `done`.
    pub(crate) done: bool,
}

impl Stream {
    pub(crate) fn new(root: u32) -> Self {
        Stream { root, ..Stream::default() }
    }

    pub(crate) fn half(&mut self, kind: StreamKind) -> &mut Half {
        match kind {
            StreamKind::Request => &mut self.request,
            StreamKind::Response => &mut self.response,
        }
    }

    /// The map of a message; None for what is of no message.
    pub(crate) fn map(&mut self, kind: MapKind) -> Option<&mut Part<Headers>> {
        match kind {
            MapKind::RequestHeaders => Some(&mut self.request.headers),
            MapKind::RequestTrailers => Some(&mut self.request.trailers),
            MapKind::ResponseHeaders => Some(&mut self.response.headers),
            MapKind::ResponseTrailers => Some(&mut self.response.trailers),
            _ => None,
        }
    }

    /// The body held at the filter; None for what is of no message.
    pub(crate) fn buffer(&mut self, kind: BufferKind) -> Option<&mut Part<Vec<u8>>> {
        match kind {
            BufferKind::RequestBody => Some(&mut self.request.buffer),
            BufferKind::ResponseBody => Some(&mut self.response.buffer),
            _ => None,
        }
    }
}

impl<T> Part<T> {
    pub(crate) fn read(&self, call: &'static str) -> Result<&T, HostError> {
        match self.reach {
            Reach::None => Err(HostError::new(call, HostError::BAD_ARGUMENT)),
            Reach::Read | Reach::Change => Ok(&self.content),
        }
    }

    pub(crate) fn change(&mut self, call: &'static str) -> Result<&mut T, HostError> {
        match self.reach {
            Reach::Change => Ok(&mut self.content),
            Reach::None | Reach::Read => Err(HostError::new(call, HostError::BAD_ARGUMENT)),
        }
    }
}

impl Part<Vec<u8>> {
    /// As Envoy: all of it, before it, or after it; never a part in the middle.
    pub(crate) fn splice(
        &mut self,
        start: usize,
        size: usize,
        bytes: &[u8],
    ) -> Result<(), HostError> {
        let content = self.change("set_buffer_bytes")?;
        if start == 0 && size == 0 {
            content.splice(0..0, bytes.iter().copied());
        } else if start == 0 && size >= content.len() {
            *content = bytes.to_vec();
        } else if start >= content.len() {
            content.extend_from_slice(bytes);
        } else {
            return Err(HostError::new("set_buffer_bytes", HostError::BAD_ARGUMENT));
        }
        Ok(())
    }
}
