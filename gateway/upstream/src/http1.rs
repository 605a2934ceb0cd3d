//! HTTP/1 to the upstream: one connection, one exchange after the other, no task of its own.

mod frame;
mod received;
mod trailers;
mod upload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use portcullis_exchange::UpstreamTlsFacts;
use portcullis_message::http1::{
    BodyDecoder, Decoded, Framing, HeadReader, Limits, Persistence, ReplyHead,
};
use portcullis_message::{BodyError, Upgrade, switches_to_websocket};

use crate::failure::{Heard, SendError, UpstreamFailure};
use crate::http1::received::Received;
use crate::http1::upload::Upload;
use crate::request_body::RequestBody;
use crate::socket::Socket;

/// How many interim replies (1xx) may come before one that counts.
const MOST_INTERIM_REPLIES: usize = 16;

/// One HTTP/1 connection, driven by whoever awaits the reply or reads its body. Dropping it closes it,
/// whatever is still under way on it.
#[derive(Debug)]
pub(crate) struct Http1 {
    socket: Socket,
    local_address: Option<SocketAddr>,
    upload: Upload,
    received: Received,
    heads: HeadReader,
    method: Method,
    /// Whether the request asked to switch protocols.
    upgrade: Option<Upgrade>,
    interim_replies: usize,
    body: BodyDecoder,
    persistence: Persistence,
}

impl Http1 {
    /// Speaks HTTP/1 on a stream. Boxed, because a connection is moved with every exchange.
    pub(crate) fn open(socket: Socket) -> Box<Self> {
        Box::new(Http1 {
            local_address: socket.local_address(),
            socket,
            upload: Upload::default(),
            received: Received::new(),
            heads: HeadReader::default(),
            method: Method::GET,
            upgrade: None,
            interim_replies: 0,
            body: BodyDecoder::new(Framing::Empty),
            persistence: Persistence::KeepAlive,
        })
    }

    /// Whether an idle connection can take a request, as far as the runtime knows. An upstream has
    /// nothing to say before it is asked: it closed, or speaks out of turn.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.received.buffer.is_empty() && self.socket.is_quiet()
    }

    /// Where it was connected to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.socket.peer()
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    /// What the TLS handshake settled.
    pub(crate) fn tls_facts(&self) -> Option<&Arc<UpstreamTlsFacts>> {
        self.socket.tls_facts()
    }

    /// Queues a request; nothing is written yet. Its head comes back, see [`Http1::explain`].
    pub(crate) fn begin(&mut self, request: Request<RequestBody>) -> Parts {
        self.method = request.method().clone();
        self.upgrade = request.extensions().get::<Upgrade>().copied();
        self.interim_replies = 0;
        self.upload.begin(request)
    }

    /// Sends the request and reads up to the end of the reply's head, which may come before the request's
    /// body is sent. `tell` hears of the interim replies that are for the client.
    pub(crate) fn poll_reply(
        &mut self,
        tell: &mut impl FnMut(&Response<()>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, UpstreamFailure>> {
        if self.upload.is_unsent() && !self.socket.is_quiet() {
            return Poll::Ready(Err(UpstreamFailure::Closed));
        }
        loop {
            if let Poll::Ready(Err(failure)) = self.upload.poll_send(&mut self.socket, cx) {
                return Poll::Ready(Err(failure));
            }
            if let (true, Some(error)) = (self.upload.is_unsent(), self.socket.write_error()) {
                return Poll::Ready(Err(UpstreamFailure::from_io(error)));
            }
            let was_held = self.upload.is_held();
            if let Some(response) = self.read_head(tell)? {
                if self.upload.is_held() {
                    // It has decided without the body, which its client has not been asked for.
                    self.upload.give_up();
                }
                return Poll::Ready(Ok(response));
            }
            if was_held && !self.upload.is_held() {
                continue;
            }
            match ready!(self.received.poll_fill(&mut self.socket, None, cx)) {
                Ok(0) => return Poll::Ready(Err(UpstreamFailure::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(UpstreamFailure::from_io(&error))),
            }
        }
    }

    /// Whether a failure now would leave the request provably unsent.
    pub(crate) fn is_unsent(&self) -> bool {
        self.upload.is_unsent()
    }

    /// What a failure means for the request, whose head this is, where it was kept.
    pub(crate) fn explain(&mut self, head: Option<Parts>, cause: UpstreamFailure) -> SendError {
        match head {
            // A body that broke off is no better the next time.
            Some(head) if self.is_unsent() && cause != UpstreamFailure::RequestBody => {
                let request = Request::from_parts(head, self.upload.take_back());
                SendError::Unsent { request, cause }
            }
            head => SendError::Failed { head, heard: self.heard(), cause },
        }
    }

    fn heard(&self) -> Heard {
        let silent = self.interim_replies == 0 && self.received.buffer.is_empty();
        if silent { Heard::Nothing } else { Heard::Something }
    }

    /// The next piece of the reply's body. An upload that is still under way goes on with it; while nobody
    /// asks for the reply, it waits too.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Poll::Ready(Err(_)) = self.upload.poll_send(&mut self.socket, cx) {
                // The upstream has answered without it, perhaps refused it: that still counts.
                self.upload.give_up();
            }
            match self.body.decode(&mut self.received.buffer) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Decoded::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::NeedMore) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyError::Framing(error)))),
            }
            match ready!(self.received.poll_fill(&mut self.socket, self.body.remaining(), cx)) {
                Ok(0) => {
                    let ended = self.body.end_of_input();
                    return Poll::Ready(ended.err().map(|error| Err(BodyError::Framing(error))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyError::Io(error)))),
            }
        }
    }

    /// The stream, and what came on it after a 101.
    pub(crate) fn into_stream(self: Box<Self>) -> (Socket, BytesMut) {
        (self.socket, self.received.buffer)
    }

    /// Whether the reply's body was read to its end.
    pub(crate) fn is_reply_read(&self) -> bool {
        self.body.is_ended()
    }

    pub(crate) fn body_size_hint(&self) -> SizeHint {
        self.body.remaining().map_or_else(SizeHint::new, SizeHint::with_exact)
    }

    /// Makes the connection ready for another exchange after the reply was read; says whether it is.
    pub(crate) fn finish(&mut self) -> Finished {
        let reusable = self.is_reply_read()
            && self.persistence == Persistence::KeepAlive
            && self.received.buffer.is_empty()
            && self.is_request_sent();
        if !reusable {
            return Finished::Spent;
        }
        self.upload.rest();
        self.received.rest();
        Finished::Reusable
    }
}

/// What an exchange leaves of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It can take another request.
    Reusable,
    /// It is to be closed: the upstream wants it so, said more than its reply, or answered early.
    Spent,
}

impl Http1 {
    fn read_head(
        &mut self,
        tell: &mut impl FnMut(&Response<()>),
    ) -> Result<Option<Response<()>>, UpstreamFailure> {
        let buffer = &mut self.received.buffer;
        while let Some(head) = self
            .heads
            .reply(buffer, &self.method, &Limits::REPLY)
            .map_err(|error| UpstreamFailure::Protocol(error.to_string()))?
        {
            let refuse = |why: &str| Err(UpstreamFailure::Protocol(why.to_owned()));
            let ReplyHead { response, framing, persistence } = head;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                if let Err(why) = self.check_switch(&response) {
                    return refuse(why);
                }
                self.body = BodyDecoder::new(Framing::UntilClose);
                self.persistence = Persistence::Close;
                return Ok(Some(response));
            }
            if !response.status().is_informational() {
                self.body = BodyDecoder::new(framing);
                self.persistence = persistence;
                return Ok(Some(response));
            }
            if response.status() == StatusCode::CONTINUE {
                self.upload.let_go();
            }
            self.interim_replies += 1;
            if self.interim_replies > MOST_INTERIM_REPLIES {
                return refuse("too many interim replies");
            }
            if response.status() != StatusCode::CONTINUE {
                tell(&response);
            }
        }
        Ok(None)
    }

    /// Whether the upstream may stop speaking HTTP here.
    fn check_switch(&self, response: &Response<()>) -> Result<(), &'static str> {
        if self.upgrade.is_none() {
            Err("the reply switches protocols unasked")
        } else if !switches_to_websocket(response.version(), response.headers()) {
            Err("the reply switches to another protocol")
        } else if !self.upload.is_whole() {
            Err("the reply switches protocols before the request has ended")
        } else {
            Ok(())
        }
    }

    /// Whether all of the request is written; what little is missing may go out now. Nobody waits for it.
    fn is_request_sent(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.upload.is_whole() {
            return true;
        }
        let sent = self.upload.poll_send(&mut self.socket, &mut cx);
        !matches!(sent, Poll::Ready(Err(_))) && self.upload.is_whole()
    }
}
