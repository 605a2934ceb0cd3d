//! The streaming body of a request or a reply.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body_error::BodyError;
use crate::channel::BodyReceiver;

/// A message body: nothing, bytes at hand, or a stream from a connection with its back-pressure and
/// trailers. It is `Send`, because an HTTP/2 upstream connection demands it.
#[derive(Debug, Default)]
pub enum Body {
    /// No bytes and no trailers.
    #[default]
    Empty,
    /// Bytes at hand; `None` once they are read.
    Full(Option<Bytes>),
    /// Bytes at hand with trailers after them; each `None` once it is read.
    Trailing(Box<(Option<Bytes>, Option<HeaderMap>)>),
    /// A body still arriving on an HTTP/2 connection.
    Incoming(Incoming),
    /// A body still arriving on an HTTP/1 connection, handed over by demand.
    Channel(BodyReceiver),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Body::Empty } else { Body::Full(Some(bytes)) }
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        if incoming.is_end_stream() { Body::Empty } else { Body::Incoming(incoming) }
    }
}

impl From<BodyReceiver> for Body {
    fn from(receiver: BodyReceiver) -> Self {
        Body::Channel(receiver)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Trailing(left) => {
                let (bytes, trailers) = &mut **left;
                let data = bytes.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
            Body::Incoming(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|f| f.map_err(BodyError::Broken))),
            Body::Channel(receiver) => Pin::new(receiver).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_none(),
            Body::Trailing(left) => left.0.is_none() && left.1.is_none(),
            Body::Incoming(incoming) => incoming.is_end_stream(),
            Body::Channel(receiver) => receiver.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Trailing(left) => {
                SizeHint::with_exact(left.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Incoming(incoming) => incoming.size_hint(),
            Body::Channel(receiver) => receiver.size_hint(),
        }
    }
}
