//! The body of a reply on a shared connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::Method;
use http::response::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::BodyError;

use crate::http2::connection::StreamPlace;
use crate::http2::head::{allowed_trailers, said_length};
use crate::http2::reason::body_error;
use crate::http2::upload::Detached;

/// The body of a reply. Dropped before its end it cancels its stream alone.
pub(crate) struct ReplyBody {
    stream: RecvStream,
    /// What is left of the length that the reply said.
    left: Option<u64>,
    /// Trailers come next.
    data_ended: bool,
    _upload: Option<Detached>,
    _place: StreamPlace,
}

impl ReplyBody {
    pub(crate) fn new(
        method: &Method,
        reply: &Parts,
        stream: RecvStream,
        upload: Option<Detached>,
        place: StreamPlace,
    ) -> Self {
        let says = *method != Method::HEAD;
        let left = says.then(|| said_length(&reply.headers)).flatten();
        ReplyBody { stream, left, data_ended: false, _upload: upload, _place: place }
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        while !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // Whoever takes it has room for it, so the upstream may send as much again.
                    let _closed = this.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut this.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(body_error(&error)))),
                None => this.data_ended = true,
            }
        }
        match ready!(this.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => {
                let kept = allowed_trailers(trailers);
                let some = !kept.is_empty();
                Poll::Ready(some.then(|| Ok(Frame::trailers(kept))))
            }
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(body_error(&error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }
}
