//! One request on a shared connection, from its head to the head of its reply.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::EXPECT;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body as _;

use crate::failure::{Heard, SendError, UpstreamFailure};
use crate::http2::body::ReplyBody;
use crate::http2::connection::StreamPlace;
use crate::http2::head::{check_reply, request_head, told_length};
use crate::http2::reason::{failure_of, is_unprocessed};
use crate::http2::upload::{Start, Upload};
use crate::request_body::RequestBody;

/// How many interim replies (1xx) may come before one that counts, as over HTTP/1.
const MOST_INTERIM_REPLIES: usize = 16;

/// A request under way on a connection that others share.
pub(crate) struct Exchange {
    place: StreamPlace,
    head: Parts,
    response: ResponseFuture,
    upload: Upload,
    /// What the connection had written before.
    written_before: u64,
    interim_replies: usize,
}

/// Begins a request on a connection; its head goes out when the connection's task has its turn.
///
/// # Errors
/// The connection takes no more streams: nothing was sent.
pub(crate) fn begin(
    place: StreamPlace,
    request: Request<RequestBody>,
) -> Result<Box<Exchange>, Box<SendError>> {
    let (head, body) = request.into_parts();
    let length = told_length(&head.method, &body);
    let outgoing = match request_head(&head, length, place.connection().scheme()) {
        Ok(outgoing) => outgoing,
        Err(error) => {
            let cause = UpstreamFailure::Protocol(format!("no head for HTTP/2: {error}"));
            let failed = SendError::Failed { head: Some(head), heard: Heard::Nothing, cause };
            return Err(Box::new(failed));
        }
    };
    let written_before = place.connection().written();
    match place.connection().send_head(outgoing, body.is_end_stream()) {
        Ok((response, stream)) => {
            let waits = head.headers.contains_key(EXPECT);
            let start = if waits { Start::WhenAsked } else { Start::AtOnce };
            let upload = Upload::new(stream, body, length, start);
            let exchange =
                Exchange { place, head, response, upload, written_before, interim_replies: 0 };
            Ok(Box::new(exchange))
        }
        Err(error) => {
            let cause = place.connection().explain(failure_of(&error));
            let request = Request::from_parts(head, body);
            Err(Box::new(SendError::Unsent { request, cause }))
        }
    }
}

impl Exchange {
    /// Sends the request and awaits the reply's head, which may come before the request's body is sent. `tell` hears of
    /// the interim replies that are for the client.
    pub(crate) fn poll_reply(
        &mut self,
        tell: &mut impl FnMut(&Response<()>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, Failed>> {
        loop {
            if let Poll::Ready(Err(failure)) = self.upload.poll_send(cx) {
                return Poll::Ready(Err(Failed::sent(failure)));
            }
            match ready!(self.response.poll_informational(cx)) {
                Some(Ok(interim)) => self.take_interim(&interim, tell)?,
                Some(Err(error)) => return Poll::Ready(Err(self.failed(&error))),
                None => break,
            }
        }
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.failed(&error))),
        };
        if let Err(why) = check_reply(response.status(), response.headers()) {
            return Poll::Ready(Err(Failed::sent(UpstreamFailure::Protocol(why.to_owned()))));
        }
        if self.upload.is_held() {
            // It has decided without the body, which its client has not been asked for.
            self.upload.give_up();
        }
        Poll::Ready(Ok(response))
    }

    /// The reply with its body, beside which the upload goes on.
    pub(crate) fn into_reply(self, response: Response<RecvStream>) -> Response<ReplyBody> {
        let Exchange { place, head, upload, .. } = self;
        let (parts, stream) = response.into_parts();
        let body = ReplyBody::new(&head.method, &parts, stream, upload.detach(), place);
        Response::from_parts(parts, body)
    }

    /// What a failure means for the request.
    pub(crate) fn explain(mut self, failed: Failed) -> SendError {
        let Failed { cause, reached, heard } = failed;
        let cause = self.place.connection().explain(cause);
        let back = match reached {
            Reached::No => self.upload.take_back(),
            Reached::Perhaps => None,
        };
        let heard = if self.interim_replies == 0 { heard } else { Heard::Something };
        match back {
            Some(body) => {
                SendError::Unsent { request: Request::from_parts(self.head, body), cause }
            }
            None => SendError::Failed { head: Some(self.head), heard, cause },
        }
    }

    fn take_interim(
        &mut self,
        interim: &Response<()>,
        tell: &mut impl FnMut(&Response<()>),
    ) -> Result<(), Failed> {
        let status = interim.status();
        let refuse = |why: &str| Err(Failed::sent(UpstreamFailure::Protocol(why.to_owned())));
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return refuse("the reply switches protocols, which HTTP/2 has no way for");
        }
        if status == StatusCode::CONTINUE {
            self.upload.let_go();
        }
        self.interim_replies += 1;
        if self.interim_replies > MOST_INTERIM_REPLIES {
            return refuse("too many interim replies");
        }
        if status != StatusCode::CONTINUE {
            tell(interim);
        }
        Ok(())
    }

    fn failed(&self, error: &h2::Error) -> Failed {
        let unsent = self.place.connection().written() == self.written_before;
        // Who has sent a 100 has looked at it, whatever is said then.
        let refused = is_unprocessed(error) && self.interim_replies == 0;
        let reached = if unsent || refused { Reached::No } else { Reached::Perhaps };
        // A reset is an answer: the connection did not just turn out to be gone.
        let heard = if error.is_remote() { Heard::Something } else { Heard::Nothing };
        Failed { cause: failure_of(error), reached, heard }
    }
}

/// Why there is no reply.
pub(crate) struct Failed {
    cause: UpstreamFailure,
    reached: Reached,
    heard: Heard,
}

/// Whether the upstream may have acted on the request.
enum Reached {
    /// Provably not.
    No,
    Perhaps,
}

impl Failed {
    fn sent(cause: UpstreamFailure) -> Self {
        Failed { cause, reached: Reached::Perhaps, heard: Heard::Something }
    }
}
