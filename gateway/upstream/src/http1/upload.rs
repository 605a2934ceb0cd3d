//! A request on its way to the upstream: its head, then its body as it comes and as the upstream takes it.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{EXPECT, HeaderValue, TRAILER};
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body::Body as _;
use portcullis_message::http1::{
    CHUNK_END, Framing, LAST_CHUNK, add_upgrade, write_chunk_size, write_request_head,
    write_trailers,
};
use portcullis_message::{Body, Upgrade, WEBSOCKET};

use tokio::time::{Sleep, sleep};

use crate::failure::UpstreamFailure;
use crate::http1::frame::framing_of;
use crate::http1::trailers::keep_announced;
use crate::request_body::RequestBody;
use crate::socket::Socket;

/// How long an upstream may leave `Expect: 100-continue` unanswered before it gets the body all the same: there
/// are some that do not know it (RFC 9110 section 10.1.1).
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// The memory of a head up to this size, in bytes, is kept for the next one's: few are larger, and a connection may lie
/// idle for long.
const LARGEST_KEPT: usize = 16 << 10;

/// The end of a chunk and of the body after it, in one piece.
const CHUNK_END_AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A request on its way to the upstream. What is queued goes out before more of the body is taken, which
/// is the back-pressure. Between two requests it is empty, its memory kept.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    /// Goes out first: the head, the size of a chunk, trailers.
    prefix: BytesMut,
    /// Goes out next, as the client sent it.
    data: Bytes,
    /// Goes out last: the end of a chunk.
    suffix: &'static [u8],
    body: Option<RequestBody>,
    body_stage: BodyStage,
    /// While the upstream has still to say whether it wants the body.
    held: Option<Pin<Box<Sleep>>>,
    rest: Rest,
    written: Written,
    /// What was taken from the body before anything was written, to put it back.
    taken_unsent: Bytes,
    /// The `Trailer` fields, which name the trailers that may be sent.
    announced: Vec<HeaderValue>,
    head_is_large: bool,
}

/// Whether there is more of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BodyStage {
    /// More is to come.
    Flowing,
    /// All of it is queued or written.
    #[default]
    Ended,
    /// No more of it is sent, though the upstream awaits it.
    GivenUp,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// So many bytes are still to be queued.
    Length(u64),
    /// By the last chunk.
    #[default]
    Chunked,
}

/// Whether a request may have reached the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Written {
    #[default]
    Nothing,
    Something,
}

impl Upload {
    /// Queues a request, framed by what its body is. Its head comes back, for the case that it is not sent.
    pub(crate) fn begin(&mut self, request: Request<RequestBody>) -> Parts {
        let (parts, body) = request.into_parts();
        let framing = framing_of(&parts.method, &parts.headers, &body);
        if framing == Framing::Chunked {
            self.announced.extend(parts.headers.get_all(TRAILER).iter().cloned());
        }
        write_request_head(&mut self.prefix, &parts.method, &parts.uri, &parts.headers, framing);
        if parts.extensions.get::<Upgrade>().is_some() {
            add_upgrade(&mut self.prefix, &WEBSOCKET);
        }
        self.head_is_large = self.prefix.len() > LARGEST_KEPT;
        self.body_stage = if framing.is_empty() { BodyStage::Ended } else { BodyStage::Flowing };
        // Only what has a body can be expected to go on, so others need not be looked at.
        let waits = !framing.is_empty() && parts.headers.contains_key(EXPECT);
        self.held = waits.then(|| Box::pin(sleep(LONGEST_HOLD)));
        self.rest = framing.length().map_or(Rest::Chunked, Rest::Length);
        self.body = Some(body);
        self.written = Written::Nothing;
        parts
    }

    /// Sends as much as the client has and the upstream takes; ready once all is written.
    ///
    /// # Errors
    /// The body broke off or is not as long as it said, or the connection failed in a way that reading
    /// from it will not tell.
    pub(crate) fn poll_send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamFailure>> {
        while !self.is_done() {
            let more = self.poll_queue(cx)?;
            if self.is_queue_empty() {
                ready!(more);
            } else {
                ready!(self.poll_write(socket, cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the body waits for the upstream's 100.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The upstream wants the body.
    pub(crate) fn let_go(&mut self) {
        self.held = None;
    }

    /// Whether the upstream has all that it was promised, though the client may not have said that it ends.
    pub(crate) fn is_whole(&self) -> bool {
        let kept = match self.body_stage {
            BodyStage::Ended => true,
            BodyStage::Flowing => self.rest == Rest::Length(0),
            BodyStage::GivenUp => false,
        };
        kept && self.is_queue_empty()
    }

    /// Sends no more of it. The connection serves no other request after that.
    pub(crate) fn give_up(&mut self) {
        *self =
            Upload { body_stage: BodyStage::GivenUp, written: self.written, ..Upload::default() };
    }

    fn is_done(&self) -> bool {
        self.body_stage != BodyStage::Flowing && self.is_queue_empty()
    }

    /// Whether not a single byte was written.
    pub(crate) fn is_unsent(&self) -> bool {
        self.written == Written::Nothing
    }

    /// Gives the body of a request back that was not sent, whole.
    pub(crate) fn take_back(&mut self) -> RequestBody {
        let mut body = self.body.take().unwrap_or_else(|| RequestBody::new(Body::Empty));
        body.put_back(std::mem::take(&mut self.taken_unsent));
        body
    }

    /// Between two exchanges: nothing of the request is kept but the memory for the next one's head.
    pub(crate) fn rest(&mut self) {
        self.body = None;
        self.announced.clear();
        if std::mem::take(&mut self.head_is_large) {
            self.prefix = BytesMut::new();
        }
    }

    fn is_queue_empty(&self) -> bool {
        self.prefix.is_empty() && self.data.is_empty() && self.suffix.is_empty()
    }

    /// Queues the next piece of the body where there is room for it; ready when it is there or no more comes.
    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        while self.data.is_empty() && self.suffix.is_empty() {
            let Some(body) = &mut self.body else { break };
            if self.body_stage != BodyStage::Flowing {
                break;
            }
            if let Some(timer) = &mut self.held {
                // The head goes out meanwhile; `poll_send` asks again then.
                ready!(timer.as_mut().poll(cx));
                self.held = None;
            }
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.queue_data(data)?,
                    Err(frame) => self.queue_end(frame.into_trailers().ok().as_ref())?,
                },
                Some(Err(_)) => return Poll::Ready(Err(UpstreamFailure::RequestBody)),
                None => self.queue_end(None)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn queue_data(&mut self, data: Bytes) -> Result<(), UpstreamFailure> {
        let ended = self.body.as_ref().is_none_or(|body| body.is_end_stream());
        if !data.is_empty() {
            match &mut self.rest {
                Rest::Length(left) => match left.checked_sub(data.len() as u64) {
                    Some(rest) => *left = rest,
                    None => return Err(UpstreamFailure::RequestBody),
                },
                Rest::Chunked => {
                    write_chunk_size(&mut self.prefix, data.len());
                    self.suffix = if ended { CHUNK_END_AND_LAST_CHUNK } else { CHUNK_END };
                }
            }
            if self.is_unsent() {
                self.taken_unsent = data.clone();
            }
            self.data = data;
        }
        if !ended {
            return Ok(());
        }
        if self.suffix == CHUNK_END_AND_LAST_CHUNK {
            self.body_stage = BodyStage::Ended;
            return Ok(());
        }
        self.queue_end(None)
    }

    fn queue_end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), UpstreamFailure> {
        self.body_stage = BodyStage::Ended;
        match self.rest {
            Rest::Length(0) => Ok(()),
            Rest::Length(_) => Err(UpstreamFailure::RequestBody),
            Rest::Chunked => {
                let kept = trailers.map(|trailers| keep_announced(trailers, &self.announced));
                match kept {
                    Some(kept) if !kept.is_empty() => write_trailers(&mut self.prefix, &kept),
                    _ => self.prefix.extend_from_slice(LAST_CHUNK),
                }
                Ok(())
            }
        }
    }

    fn poll_write(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamFailure>> {
        let pieces = [self.prefix.as_ref(), self.data.as_ref(), self.suffix];
        let mut slices = [IoSlice::new(&[]); 3];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces.iter().filter(|piece| !piece.is_empty()))
        {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = match ready!(socket.poll_write(cx, slices)) {
            Ok(written) => written,
            Err(error) => return Poll::Ready(Err(UpstreamFailure::from_io(&error))),
        };
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        if written > 0 {
            self.written = Written::Something;
            self.taken_unsent = Bytes::new();
        }
        let prefix = written.min(self.prefix.len());
        self.prefix.advance(prefix);
        written -= prefix;
        let data = written.min(self.data.len());
        self.data.advance(data);
        written -= data;
        self.suffix = self.suffix.get(written..).unwrap_or_default();
    }
}
