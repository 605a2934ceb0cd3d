//! HTTP/1 downstream, on our own codec: one task for each connection, one request after the other.

mod exchange;
mod inbound;
mod outbound;
mod output;
#[cfg(test)]
mod tests;
mod tunnel;
mod wire;
mod workbench;

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use portcullis_message::Body;
use portcullis_message::http1::{
    Expectation, Framing, HeadError, HeadReader, Persistence, ReplyStart, RequestHead,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::activity::Activity;
use crate::http1::exchange::{Next, exchange};
use crate::http1::wire::Wire;
use crate::tunnel::MayTunnel;

pub(crate) use crate::http1::wire::Arrived;
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
    B: HttpBody<Data = Bytes> + MayTunnel + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut wire = Wire::new(arrived, bench, activity);
    let mut reader = HeadReader::default();
    loop {
        let head = match read_head(&mut wire, &mut reader).await {
            Ok(Some(head)) => head,
            Ok(None) => return wire.close().await,
            Err(Unread::Refused(refusal)) => {
                refused(refusal);
                refuse(&mut wire, refusal);
                return wire.close_slowly().await;
            }
            Err(Unread::Lost(error)) => return Err(error),
        };
        // Boxed: a connection that waits for its next request holds nothing of it, and the requests of a worker
        // take turns in the same few blocks of memory.
        match Box::pin(exchange(&mut wire, head, &mut service)).await? {
            Next::Another => {}
            Next::Close => return wire.close().await,
            Next::CloseSlowly => return wire.close_slowly().await,
        }
    }
}

/// Why there is no next request.
enum Unread {
    /// What came is none.
    Refused(Refusal),
    /// The connection failed.
    Lost(io::Error),
}

/// The next head; `None` where the client left, or we were asked to go.
async fn read_head<I>(
    wire: &mut Wire<I>,
    reader: &mut HeadReader,
) -> Result<Option<RequestHead>, Unread>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if !wire.input.is_empty() {
            wire.activity.begin_head();
            match reader.request(&mut wire.input, &wire.activity.limits().head_size) {
                Ok(Some(head)) => return check_expectation(head).map(Some),
                Ok(None) => {}
                Err(error) => return Err(Unread::Refused(error.into())),
            }
        }
        // Asked to go, it goes only where no request has come meanwhile.
        let read = poll_fn(|cx| match wire.poll_idle(cx) {
            Poll::Pending if wire.input.is_empty() && wire.activity.wants_close() => {
                Poll::Ready(Ok(0))
            }
            outcome => outcome,
        });
        if read.await.map_err(Unread::Lost)? == 0 {
            return Ok(None);
        }
    }
}

fn check_expectation(head: RequestHead) -> Result<RequestHead, Unread> {
    if head.expectation == Expectation::Unknown {
        let status = StatusCode::EXPECTATION_FAILED;
        let details = "expectation_refused";
        return Err(Unread::Refused(Refusal { status, details }));
    }
    Ok(head)
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
