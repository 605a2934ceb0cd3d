//! A reply: how it is framed, and its body on the way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TE, TRAILER, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use portcullis_message::http1::{
    CHUNK_END, Framing, LAST_CHUNK, Persistence, write_chunk_size, write_trailers,
};

use crate::http1::output::Output;

/// What of a request decides on the form of its reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    method: AskedBy,
    pub(crate) version: Version,
    takes_trailers: Trailers,
    ahead: Ahead,
}

/// What a client's bytes are that come before it has its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// Its next request.
    Request,
    /// That, or the protocol that it would upgrade to.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedBy {
    Head,
    Connect,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailers {
    Sent,
    Dropped,
}

impl Asker {
    pub(crate) fn of(request: &Request<()>) -> Self {
        let method = match *request.method() {
            Method::HEAD => AskedBy::Head,
            Method::CONNECT => AskedBy::Connect,
            _ => AskedBy::Other,
        };
        let te = request.headers().get(TE).is_some_and(|te| has_token(te, b"trailers"));
        let takes_trailers = if te { Trailers::Sent } else { Trailers::Dropped };
        let offers = request.headers().contains_key(UPGRADE);
        let ahead = if offers { Ahead::Unclear } else { Ahead::Request };
        Asker { method, version: request.version(), takes_trailers, ahead }
    }

    /// Whether the connection may stay open after a refused tunnel: what follows may not be HTTP.
    pub(crate) fn allows_another(&self) -> bool {
        self.method != AskedBy::Connect
    }

    /// Whether what the client has said so far is HTTP for sure. Who sends the other protocol's bytes before
    /// its upgrade is granted would have them read as a request once it is not.
    pub(crate) fn can_read(&self, said: &[u8]) -> bool {
        self.ahead == Ahead::Request || said.is_empty()
    }

    /// How a reply is framed for this request (RFC 9112 section 6).
    pub(crate) fn framing<B: Body>(&self, response: &Response<B>) -> Framing {
        let (status, body) = (response.status(), response.body());
        if status == StatusCode::NO_CONTENT || status.is_informational() {
            return Framing::Empty;
        }
        if self.has_no_body(status) {
            // The length that the body would have.
            let told = declared_length(response.headers());
            let length = told.or(body.size_hint().exact().filter(|length| *length > 0));
            return length.map_or(Framing::Empty, Framing::Length);
        }
        if body.is_end_stream() {
            return Framing::Length(0);
        }
        match body.size_hint().exact() {
            Some(length) => Framing::Length(length),
            None if self.version == Version::HTTP_11 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }

    /// Whether a reply ends with its head.
    pub(crate) fn has_no_body(&self, status: StatusCode) -> bool {
        self.method == AskedBy::Head
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || status.is_informational()
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the reply's own head ends the connection.
pub(crate) fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| has_token(value, b"close"))
}

fn has_token(value: &HeaderValue, token: &[u8]) -> bool {
    let mut parts = value.as_bytes().split(|byte| *byte == b',');
    parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// The body of a reply on its way out.
pub(crate) struct Outbound<B> {
    /// Kept until the output is written: until then the request is under way.
    body: B,
    stage: Stage,
    left: Left,
    trailers: Trailers,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Flowing,
    /// All of it is in the output.
    Ended,
}

/// What the framing still allows.
enum Left {
    Bytes(u64),
    Chunks,
    All,
}

impl<B: Body<Data = Bytes> + Unpin> Outbound<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A body that is to be framed so.
    pub(crate) fn new(asker: &Asker, framing: Framing, response: Response<B>) -> Self {
        let announced = response.headers().contains_key(TRAILER);
        let left = match framing {
            Framing::Chunked => Left::Chunks,
            Framing::UntilClose => Left::All,
            Framing::Length(length) => Left::Bytes(length),
            Framing::Empty => Left::Bytes(0),
        };
        let body = response.into_body();
        // One that ends with its head may not be asked for a byte.
        let empty = matches!(framing, Framing::Empty | Framing::Length(0)) && body.is_end_stream();
        Outbound {
            body,
            stage: if empty { Stage::Ended } else { Stage::Flowing },
            left,
            trailers: if announced { Trailers::Sent } else { asker.takes_trailers },
        }
    }

    /// Whether all of it is in the output.
    pub(crate) fn is_complete(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether its end would be taken for the whole: only the end of the connection ends it.
    pub(crate) fn runs_until_close(&self) -> bool {
        matches!(self.left, Left::All)
    }

    /// Ends a body that the client does not get: the reply to HEAD.
    pub(crate) fn leave_out(&mut self) {
        self.stage = Stage::Ended;
    }

    /// Puts the next bytes of the body into the output, which has room.
    pub(crate) fn poll_next(
        &mut self,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_complete() {
            return Poll::Ready(Ok(()));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // Who is asked once more after the end may keep an upstream's connection busy for longer.
        let last = self.body.is_end_stream();
        let outcome = match frame {
            Some(Ok(frame)) => self.add(frame, last, output),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => self.end(output),
        };
        Poll::Ready(outcome)
    }

    fn add(&mut self, frame: Frame<Bytes>, last: bool, output: &mut Output) -> io::Result<()> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => self.add_data(data, last, output)?,
            Err(frame) => return self.add_trailers(frame, output),
        }
        if last { self.end(output) } else { Ok(()) }
    }

    fn add_data(&mut self, data: Bytes, last: bool, output: &mut Output) -> io::Result<()> {
        match &mut self.left {
            Left::All => output.add(data, b""),
            Left::Bytes(left) => {
                let length = data.len() as u64;
                *left = left.checked_sub(length).ok_or_else(|| wrong("too long"))?;
                output.add(data, b"");
            }
            Left::Chunks => {
                write_chunk_size(&mut output.front, data.len());
                if last {
                    self.left = Left::All;
                    output.add(data, CHUNK_END_AND_LAST);
                } else {
                    output.add(data, CHUNK_END);
                }
            }
        }
        Ok(())
    }

    fn add_trailers(&mut self, frame: Frame<Bytes>, output: &mut Output) -> io::Result<()> {
        if let (Ok(trailers), Left::Chunks, Trailers::Sent) =
            (frame.into_trailers(), &self.left, self.trailers)
        {
            write_trailers(&mut output.front, &trailers);
            self.left = Left::All;
        }
        self.end(output)
    }

    /// The body has ended; one that is too short is not passed off as whole.
    fn end(&mut self, output: &mut Output) -> io::Result<()> {
        self.stage = Stage::Ended;
        match self.left {
            Left::Bytes(0) | Left::All => {}
            Left::Bytes(_) => return Err(wrong("too short")),
            Left::Chunks => output.front.extend_from_slice(LAST_CHUNK),
        }
        Ok(())
    }
}

/// The end of the last chunk and of the body.
const CHUNK_END_AND_LAST: &[u8] = b"\r\n0\r\n\r\n";

fn wrong(how: &str) -> io::Error {
    io::Error::other(format!("the body of the reply is {how}"))
}

/// Whether the connection stays open, as far as the head of the reply decides.
pub(crate) fn persistence(
    asked: Persistence,
    framing: Framing,
    headers: &HeaderMap,
) -> Persistence {
    if framing == Framing::UntilClose || says_close(headers) { Persistence::Close } else { asked }
}
