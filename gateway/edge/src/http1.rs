//! HTTP/1 downstream, on our own codec: one task for each connection, one request after the other.

mod exchange;
mod inbound;
mod outbound;
mod output;
#[cfg(test)]
mod tests;
mod wire;
mod workbench;

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use portcullis_message::Body;
use portcullis_message::http1::{
    Expectation, Framing, HeadError, HeadReader, Limits, Persistence, ReplyStart, RequestHead,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::activity::Activity;
use crate::http1::exchange::{Next, exchange};
use crate::http1::wire::Wire;

pub(crate) use crate::http1::workbench::Workbench;

/// A head that was refused before it became a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) status: StatusCode,
    /// What the log is told.
    pub(crate) details: &'static str,
}

/// Serves a connection until it ends or is asked to go. `refused` is told of heads that became no request.
///
/// There are no timers here: the worker's sweep keeps the times of heads and of idleness. A client that shuts
/// down its sending half while it waits is taken to have left, so that its work upstream ends; Envoy and nginx
/// do the same.
pub(crate) async fn serve<I, F, B>(
    arrived: Arrived<I>,
    bench: Rc<Workbench>,
    activity: Rc<Activity>,
    mut service: impl FnMut(Request<Body>) -> F,
    refused: impl FnOnce(Refusal),
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<B>>,
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut wire = Wire::new(arrived.io, BytesMut::from(arrived.read_ahead), bench, activity);
    let mut reader = HeadReader::default();
    loop {
        match read_head(&mut wire, &mut reader).await? {
            Incoming::Head(head) => match exchange(&mut wire, *head, &mut service).await? {
                Next::Another => {}
                Next::Close => return wire.close().await,
                Next::CloseSlowly => return wire.close_slowly().await,
            },
            Incoming::Refused(refusal) => {
                refused(refusal);
                refuse(&mut wire, refusal);
                return wire.close_slowly().await;
            }
            Incoming::Nothing => return wire.close().await,
        }
    }
}

/// A connection with what was read from it ahead of time.
pub(crate) struct Arrived<I> {
    pub(crate) io: I,
    pub(crate) read_ahead: Bytes,
}

/// What comes next on a connection.
enum Incoming {
    /// A request. Boxed: it is moved through several futures.
    Head(Box<RequestHead>),
    /// What is no request of HTTP/1.
    Refused(Refusal),
    /// No more: the client left, or we were asked to go.
    Nothing,
}

async fn read_head<I>(wire: &mut Wire<I>, reader: &mut HeadReader) -> io::Result<Incoming>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if !wire.input.is_empty() {
            wire.activity.begin_head();
            match reader.request(&mut wire.input, &Limits::REQUEST) {
                Ok(Some(head)) => return Ok(admit(head)),
                Ok(None) => {}
                Err(error) => return Ok(Incoming::Refused(error.into())),
            }
        }
        let read = poll_fn(|cx| {
            if wire.input.is_empty() && wire.activity.wants_close() {
                return Poll::Ready(Ok(0));
            }
            wire.poll_idle(cx)
        });
        if read.await? == 0 {
            return Ok(Incoming::Nothing);
        }
    }
}

fn admit(head: RequestHead) -> Incoming {
    if head.expectation == Expectation::Unknown {
        let status = StatusCode::EXPECTATION_FAILED;
        return Incoming::Refused(Refusal { status, details: "http1.unknown_expectation" });
    }
    Incoming::Head(Box::new(head))
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Refusal { status: error.status(), details: error.details() }
    }
}

fn refuse<I: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<I>, refusal: Refusal) {
    let date = wire.date();
    let start = ReplyStart {
        version: Version::HTTP_11,
        status: refusal.status,
        headers: &HeaderMap::new(),
        framing: Framing::Length(0),
        persistence: Persistence::Close,
        date: &date,
    };
    start.write(wire.front());
}
