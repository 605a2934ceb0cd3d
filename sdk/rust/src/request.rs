//! The request as a filter sees it.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::body::{BodyMode, Buffered, Chunks, ReadMode, Unread};
use crate::chunk::Chunk;
use crate::message::{Message, Use};
use crate::{Claims, Error, Headers};

/// A request whose headers have arrived; what can be done with its body says the [mode](BodyMode) in its type.
///
/// From the first await of the body on, the head has gone on: headers stay readable, changing them is an error.
#[derive(Debug)]
pub struct Request<B: BodyMode = Unread> {
    message: Message,
    mode: PhantomData<fn() -> B>,
}

impl<B: BodyMode> Request<B> {
    pub(crate) fn new(message: Message) -> Self {
        Request { message, mode: PhantomData }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.message.headers
    }

    /// Its headers, to change.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.message.headers
    }

    /// The method.
    pub fn method(&self) -> Option<Cow<'_, str>> {
        self.headers().first_text(":method")
    }

    /// The path with its query.
    pub fn path(&self) -> Option<Cow<'_, str>> {
        self.headers().first_text(":path")
    }

    /// The host that the client asked for.
    pub fn authority(&self) -> Option<Cow<'_, str>> {
        self.headers().first_text(":authority")
    }

    /// The claims of the token that the gateway's own authentication verified.
    pub fn claims(&self) -> Claims {
        Claims::of_request()
    }

    /// Whether the request ends with its headers.
    pub fn is_bodiless(&self) -> bool {
        self.message.is_bodiless()
    }

    /// The callback is done.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.message.settle()
    }
}

impl<B: ReadMode> Request<B> {
    /// The trailers, readable and changeable; None before the body is over, and where there are none.
    pub fn trailers(&mut self) -> Option<&mut Headers> {
        self.message.trailers()
    }
}

impl<const LIMIT: usize> Request<Buffered<LIMIT>> {
    /// Waits for the whole body; what it is when the callback ends goes on. `content-length` is taken away.
    ///
    /// ```
    /// # use portcullis_sdk::prelude::*;
    /// # struct Capitals;
    /// # impl Filter for Capitals {
    /// #     type Configuration = NoConfiguration;
    /// #     type State = ();
    /// #     type RequestBody = Buffered<1024>;
    /// #     type ResponseBody = Unread;
    /// #     fn new(_: NoConfiguration, _: &mut Setup) -> Result<Self, ConfigurationError> { Ok(Capitals) }
    /// async fn request(&self, request: &mut Request<Buffered<1024>>, _: &mut ()) -> Result<Flow, Error> {
    ///     request.body().await?.make_ascii_uppercase();
    ///     Ok(Flow::Continue)
    /// }
    /// # }
    /// ```
    pub async fn body(&mut self) -> Result<&mut Vec<u8>, Error> {
        self.message.whole(LIMIT, Use::Replace).await
    }

    /// Waits for the whole body, only to read it: it goes on as it came, with its length.
    pub async fn read_body(&mut self) -> Result<&[u8], Error> {
        Ok(self.message.whole(LIMIT, Use::Read).await?)
    }
}

impl Request<Chunks> {
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
