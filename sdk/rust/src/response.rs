//! The response as a filter sees it.

use std::marker::PhantomData;

use crate::abi::MapKind;
use crate::body::{BodyMode, Buffered, Chunks, ReadMode, Unread};
use crate::chunk::Chunk;
use crate::message::{Message, Use};
use crate::{Error, Headers};

/// A response whose headers have arrived; what can be done with its body says the [mode](BodyMode) in its type.
///
/// From the first await of the body on, the head has gone on: headers stay readable, changing them is an error, and a
/// reply in its place can only break the response off.
#[derive(Debug)]
pub struct Response<B: BodyMode = Unread> {
    message: Message,
    request_headers: Headers,
    mode: PhantomData<fn() -> B>,
}

impl<B: BodyMode> Response<B> {
    pub(crate) fn new(message: Message) -> Self {
        let request_headers = Headers::new(MapKind::RequestHeaders);
        Response { message, request_headers, mode: PhantomData }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.message.headers
    }

    /// Its headers, to change.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.message.headers
    }

    /// The request's headers, to read. Envoy has them no more at this point (they read as empty there): what a filter
    /// needs, it keeps in its state.
    pub fn request_headers(&self) -> &Headers {
        &self.request_headers
    }

    /// The status; None where the host gives no number.
    pub fn status(&self) -> Option<u16> {
        self.headers().first_text(":status")?.parse().ok()
    }

    /// Whether the response ends with its headers.
    pub fn is_bodiless(&self) -> bool {
        self.message.is_bodiless()
    }

    /// The callback is done.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.message.settle()
    }
}

impl<B: ReadMode> Response<B> {
    /// The trailers, readable and changeable; None before the body is over, and where there are none.
    pub fn trailers(&mut self) -> Option<&mut Headers> {
        self.message.trailers()
    }
}

impl<const LIMIT: usize> Response<Buffered<LIMIT>> {
    /// Waits for the whole body; what it is when the callback ends goes on. `content-length` is taken away.
    pub async fn body(&mut self) -> Result<&mut Vec<u8>, Error> {
        self.message.whole(LIMIT, Use::Replace).await
    }

    /// Waits for the whole body, only to read it: it goes on as it came, with its length.
    pub async fn read_body(&mut self) -> Result<&[u8], Error> {
        Ok(self.message.whole(LIMIT, Use::Read).await?)
    }
}

impl Response<Chunks> {
    /// Waits for the next piece of the body; None after the last. Pieces that were seen go on. `content-length` is taken
    /// away, since pieces may be replaced.
    pub async fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, Error> {
        let bytes = self.message.next(Use::Replace).await?;
        Ok(bytes.map(|bytes| Chunk::new(&mut self.message, bytes)))
    }

    /// Waits for the next piece of the body, only to read it.
    pub async fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.message.next(Use::Read).await
    }
}
