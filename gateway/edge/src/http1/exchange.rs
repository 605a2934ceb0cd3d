//! One request and its reply on a connection.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response, Version};
use http_body::Body as HttpBody;
use portcullis_message::Body;
use portcullis_message::http1::{Expectation, Framing, Persistence, ReplyStart, RequestHead};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::inbound::{Drained, Inbound};
use crate::http1::outbound::{Asker, Outbound, persistence};
use crate::http1::tunnel::carry;
use crate::http1::wire::Wire;
use crate::tunnel::MayTunnel;

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may follow.
    Another,
    /// It ends.
    Close,
    /// It ends while its client may still be talking.
    CloseSlowly,
}

/// Answers one request. The service is polled here, in the connection's own task; meanwhile the request's body
/// is handed on as it is wanted, and a client that leaves is noticed.
pub(crate) async fn exchange<I, F, B>(
    wire: &mut Wire<I>,
    mut head: RequestHead,
    service: impl FnOnce(Request<Body>) -> F,
) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<B>>,
    B: HttpBody<Data = Bytes> + MayTunnel + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut inbound, body) =
        Inbound::open(&head, &mut wire.input, wire.activity.limits().head_size);
    if head.expectation == Expectation::Continue && !inbound.awaits_go_ahead() {
        // It sends the body unasked, so there is nothing for the upstream to decide on.
        head.request.headers_mut().remove(EXPECT);
    }
    let asker = Asker::of(&head.request);
    let asked = if asker.allows_another() { head.persistence } else { Persistence::Close };
    let mut response = {
        let mut answering = pin!(service(head.request.map(|()| body)));
        if asker.version == Version::HTTP_11 {
            wire.activity.accept_interim_replies();
        }
        poll_fn(|cx| {
            loop {
                let answered = answering.as_mut().poll(cx);
                wire.take_interim_replies();
                if let Poll::Ready(response) = answered {
                    return Poll::Ready(Ok(response));
                }
                // A client that does not take them gets them with the reply.
                if !wire.output.is_empty()
                    && let Poll::Ready(Err(error)) = wire.poll_write(cx)
                {
                    return Poll::Ready(Err(error));
                }
                match inbound.poll_advance(wire, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?
    };
    inbound.begin_reply();
    if let Some(tunnel) = response.body_mut().take_tunnel() {
        // Few requests become one, so it stays out of every connection's future.
        Box::pin(carry(wire, response, tunnel)).await?;
        return Ok(Next::Close);
    }
    let (mut outbound, kept) = write_head(wire, &asker, asked, &inbound, response);
    if let Err(error) = send(wire, &mut inbound, &mut outbound).await {
        // What a client does not take would stay with the system for as long as it dribbles.
        if outbound.runs_until_close() || wire.activity.is_overdue() {
            wire.reset();
        }
        return Err(error);
    }
    drop(outbound);
    finish(wire, &asker, &mut inbound, kept).await
}

/// Puts the reply's head into the output.
fn write_head<I, B>(
    wire: &mut Wire<I>,
    asker: &Asker,
    asked: Persistence,
    inbound: &Inbound,
    response: Response<B>,
) -> (Outbound<B>, Persistence)
where
    I: AsyncRead + AsyncWrite + Unpin,
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let framing = asker.framing(&response);
    let leaving =
        wire.activity.answers_last() || !inbound.may_end() || !asker.can_read(&wire.input);
    let asked = if leaving { Persistence::Close } else { asked };
    let (status, headers) = (response.status(), response.headers());
    let persistence = persistence(asked, framing, headers);
    let (version, date) = (asker.version, wire.date());
    ReplyStart { version, status, headers, framing, persistence, date: &date }.write(wire.front());
    let has_no_body = asker.has_no_body(status);
    let framing = if has_no_body { Framing::Empty } else { framing };
    let mut outbound = Outbound::new(asker, framing, response);
    if has_no_body {
        outbound.leave_out();
    }
    (outbound, persistence)
}

/// Writes the reply while the rest of the request is still coming, perhaps.
async fn send<I, B>(
    wire: &mut Wire<I>,
    inbound: &mut Inbound,
    outbound: &mut Outbound<B>,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| {
        loop {
            let mut more = false;
            if wire.output.has_room() && !outbound.is_complete() {
                match outbound.poll_next(&mut wire.output, cx) {
                    Poll::Ready(Ok(())) => more = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            // The first bytes go out together with the head, and small pieces together.
            if more && wire.output.has_room() && !outbound.is_complete() {
                continue;
            }
            if !wire.output.is_empty() {
                match wire.poll_write(cx) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            } else if outbound.is_complete() {
                return Poll::Ready(Ok(()));
            }
            match inbound.poll_advance(wire, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if wire.activity.is_overdue() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Sees to it that the next head is where the next read begins.
async fn finish<I>(
    wire: &mut Wire<I>,
    asker: &Asker,
    inbound: &mut Inbound,
    kept: Persistence,
) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    match kept {
        _ if !asker.can_read(&wire.input) => Ok(Next::CloseSlowly),
        Persistence::KeepAlive if inbound.is_complete() => Ok(Next::Another),
        Persistence::KeepAlive if drain(wire, inbound).await? == Drained::Whole => {
            Ok(Next::Another)
        }
        Persistence::Close if inbound.is_complete() && wire.input.is_empty() => Ok(Next::Close),
        _ => Ok(Next::CloseSlowly),
    }
}

/// Reads what is left of the request, which has its own time.
async fn drain<I>(wire: &mut Wire<I>, inbound: &mut Inbound) -> io::Result<Drained>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    wire.activity.begin_draining();
    let drained = inbound.drain(wire).await?;
    wire.activity.end_draining();
    Ok(drained)
}
