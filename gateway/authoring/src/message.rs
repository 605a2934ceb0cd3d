//! A request or a response as it arrived: what expectations are held against.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Frame, SizeHint};

use crate::one_or_more::OneOrMore;
use crate::suite::Headers;

/// What arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Of a request.
    pub method: Option<String>,
    /// Of a request, with its query.
    pub path: Option<String>,
    /// Of a response.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// A body that is sent piece by piece; one of one piece says its length beforehand.
#[derive(Debug)]
pub(crate) struct PiecedBody(VecDeque<Bytes>);

impl PiecedBody {
    /// The pieces that a suite gives; empty ones are none.
    pub(crate) fn of(body: &OneOrMore) -> Self {
        let pieces = body.texts().iter().filter(|text| !text.is_empty());
        PiecedBody(pieces.map(|text| Bytes::copy_from_slice(text.as_bytes())).collect())
    }
}

impl Body for PiecedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.len() {
            0 => SizeHint::with_exact(0),
            1 => SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum()),
            _ => SizeHint::default(),
        }
    }
}

/// The headers that a suite gives.
///
/// # Errors
/// Names one that no message can have.
pub(crate) fn header_map(headers: &Headers<OneOrMore>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, values) in headers {
        let parsed = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("`{}` is no header's name", name.escape_debug()))?;
        for value in values.texts() {
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("`{}` is no value of a header", value.escape_debug()))?;
            map.append(&parsed, value);
        }
    }
    Ok(map)
}
