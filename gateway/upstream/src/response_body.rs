//! The body of a reply. It holds the connection until the last byte, then brings it back to the pool.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::{Body, BodyError};

use crate::endpoint::ActiveRequest;
use crate::http1::Readiness;
use crate::request_body::RequestProgress;
use crate::shelf::{PooledConnection, Shelf};

/// The body of an upstream's reply.
///
/// When it has ended cleanly and the request was sent whole, the connection goes back to the worker's
/// pool. Dropped before that, it closes the connection, which also ends an upload still under way. The
/// request counts as active at its endpoint until this is dropped.
pub struct UpstreamBody {
    body: Body,
    held: Option<Held>,
    _active: ActiveRequest,
}

/// What is given back at the end.
pub(crate) struct Held {
    pub(crate) connection: PooledConnection,
    pub(crate) shelf: Rc<Shelf>,
    pub(crate) request: Option<Arc<RequestProgress>>,
}

impl UpstreamBody {
    /// A body of which nothing was read yet; an empty one brings the connection back at once.
    pub(crate) fn new(body: Body, held: Held, active: ActiveRequest) -> Self {
        let mut this = UpstreamBody { body, held: Some(held), _active: active };
        if this.body.is_end_stream() {
            this.give_back();
        }
        this
    }

    fn give_back(&mut self) {
        let Some(held) = self.held.take() else { return };
        let request_sent = held.request.as_ref().is_none_or(|request| request.ended());
        // Otherwise it is dropped here and thereby closed: the upstream answered early.
        if request_sent && held.connection.http1.readiness() != Readiness::Closed {
            held.shelf.put(held.connection);
        }
    }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() || this.body.is_end_stream() => {
                this.give_back();
            }
            Poll::Ready(Some(Err(_))) => this.held = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
