//! The body of a reply. It holds the connection until the last byte, then brings it back to the pool.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::BodyError;

use crate::endpoint::ActiveRequest;
use crate::http1::Finished;
use crate::http2::ReplyBody;
use crate::pooled::PooledConnection;
use crate::shelf::Shelf;
use crate::tunnel::UpstreamTunnel;

/// The body of an upstream's reply.
///
/// When it has ended cleanly and the request was sent whole, the connection goes back to the worker's
/// pool. Dropped before that, it closes the connection, which also ends an upload still under way. The
/// request counts as active at its endpoint until this is dropped.
pub struct UpstreamBody {
    stage: Stage,
    shelf: Rc<Shelf>,
    active: ActiveRequest,
}

/// How far a body is.
enum Stage {
    Flowing(PooledConnection),
    /// On a connection that others use too.
    Shared(Box<ReplyBody>),
    /// Read to its end.
    Ended,
    /// It broke off, which was told.
    Broken,
}

impl UpstreamBody {
    /// A body of which nothing was read yet; an empty one brings the connection back at once.
    pub(crate) fn new(
        connection: PooledConnection,
        shelf: Rc<Shelf>,
        active: ActiveRequest,
    ) -> Self {
        let mut this = UpstreamBody { stage: Stage::Flowing(connection), shelf, active };
        this.note_end();
        this
    }

    /// The same on a shared connection, on which the request's place becomes free when the body has ended.
    pub(crate) fn shared(body: ReplyBody, shelf: Rc<Shelf>, active: ActiveRequest) -> Self {
        let ended = body.is_end_stream();
        let stage = if ended { Stage::Ended } else { Stage::Shared(Box::new(body)) };
        UpstreamBody { stage, shelf, active }
    }

    /// The connection with what follows on it, after a 101; `None` where it has ended already.
    pub fn into_tunnel(self) -> Option<UpstreamTunnel> {
        let Stage::Flowing(PooledConnection { http1, counted, places, .. }) = self.stage else {
            return None;
        };
        let (socket, read_ahead) = http1.into_stream();
        Some(UpstreamTunnel {
            socket,
            read_ahead,
            _counted: (counted, places),
            _active: self.active,
        })
    }

    /// Gives the connection back where the body has ended.
    fn note_end(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Flowing(mut connection) if connection.http1.is_reply_read() => {
                // Otherwise it is dropped here and thereby closed.
                if connection.http1.finish() == Finished::Reusable {
                    self.shelf.put(connection);
                }
            }
            stage => self.stage = stage,
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
        match &mut this.stage {
            Stage::Flowing(connection) => {
                let polled = connection.http1.poll_body(cx);
                match &polled {
                    Poll::Pending => {}
                    Poll::Ready(Some(Err(_))) => this.stage = Stage::Broken,
                    Poll::Ready(_) => this.note_end(),
                }
                polled
            }
            Stage::Shared(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                match &polled {
                    Poll::Ready(Some(Err(_))) => this.stage = Stage::Broken,
                    Poll::Ready(None) => this.stage = Stage::Ended,
                    Poll::Ready(Some(Ok(_))) if body.is_end_stream() => this.stage = Stage::Ended,
                    Poll::Ready(_) | Poll::Pending => {}
                }
                polled
            }
            Stage::Ended | Stage::Broken => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.stage {
            Stage::Flowing(connection) => connection.http1.body_size_hint(),
            Stage::Shared(body) => body.size_hint(),
            Stage::Ended => SizeHint::with_exact(0),
            Stage::Broken => SizeHint::new(),
        }
    }
}
