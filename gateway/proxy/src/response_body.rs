//! The body of a response, with the record that is closed when it ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_exchange::ResponseFlag;
use portcullis_message::{Body, BodyError};
use portcullis_upstream::{UpstreamBody, UpstreamTunnel};
use tokio::time::Sleep;

use crate::flight::Flight;
use crate::route_timeout::RouteTimeout;
use crate::terms::Terms;
use crate::tunnel::Tunnel;

/// A response body. It counts what goes downstream, and records the exchange when it ends or is dropped.
///
/// Boxed: on its way through hyper a response is moved a dozen times.
pub struct ResponseBody(Form);

enum Form {
    Streaming(Box<Streaming>),
    /// In the place of a body; `None` once it was taken.
    Tunnel(Option<Box<Tunnel>>),
}

struct Streaming {
    source: Source,
    flight: Flight,
    deadline: Option<Deadline>,
}

/// The route's timeout with the timer that looks at it.
struct Deadline {
    timeout: RouteTimeout,
    timer: Pin<Box<Sleep>>,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// The upstream, streaming.
    Upstream(UpstreamBody),
    /// The gateway itself.
    Reply(Body),
    /// An upstream that has switched protocols.
    Tunnel(Box<UpstreamTunnel>),
}

impl Source {
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Reply(body) => body.is_end_stream(),
            Source::Tunnel(_) => true,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Source::Upstream(body) => body.size_hint(),
            Source::Reply(body) => body.size_hint(),
            Source::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

impl Deadline {
    fn new(timeout: RouteTimeout) -> Self {
        let look = timeout.next_look(Instant::now());
        Deadline { timeout, timer: Box::pin(tokio::time::sleep_until(look.into())) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.timeout.has_passed(now) {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.timeout.next_look(now).into());
        }
        Poll::Pending
    }
}

impl ResponseBody {
    pub(crate) fn new(source: Source, mut flight: Flight) -> Self {
        let source = match source {
            Source::Tunnel(upstream) => return ResponseBody(Form::tunnel(*upstream, flight)),
            source => source,
        };
        let timeout = flight.timeout.take().filter(|_| !source.is_end_stream());
        let deadline = match &source {
            Source::Upstream(_) => timeout.map(Deadline::new),
            Source::Reply(_) | Source::Tunnel(_) => None,
        };
        ResponseBody(Form::Streaming(Box::new(Streaming { source, flight, deadline })))
    }

    /// The tunnel that is to be carried in the place of a body, once.
    pub fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        match &mut self.0 {
            Form::Streaming(_) => None,
            Form::Tunnel(tunnel) => tunnel.take(),
        }
    }
}

impl Form {
    fn tunnel(upstream: UpstreamTunnel, flight: Flight) -> Self {
        // It keeps its own time.
        flight.progress.set_terms(Terms::NONE);
        Form::Tunnel(Some(Box::new(Tunnel::new(upstream, flight))))
    }
}

impl Streaming {
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.deadline {
            Some(deadline) => deadline.poll(cx),
            None => Poll::Pending,
        }
    }

    fn note(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.flight.exchange.bytes_sent += data.len() as u64;
        } else if let (Some(trailers), Some(head)) =
            (frame.trailers_ref(), &mut self.flight.exchange.response)
        {
            head.trailers = Some(trailers.clone());
        }
    }

    /// The upstream broke off or was too slow: the client must not take what it has for the whole.
    fn break_off(&mut self, flag: ResponseFlag, details: &'static str) {
        self.flight.exchange.flags.set(flag);
        self.flight.exchange.code_details = details.into();
        self.flight.finish();
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Form::Streaming(this) = &mut self.get_mut().0 else { return Poll::Ready(None) };
        if this.poll_deadline(cx).is_ready() {
            this.deadline = None;
            this.break_off(ResponseFlag::UpstreamRequestTimeout, "upstream_response_timeout");
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        }
        let frame = match &mut this.source {
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
            Source::Reply(body) => Pin::new(body).poll_frame(cx),
            Source::Tunnel(_) => Poll::Ready(None),
        };
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => this.note(frame),
            Poll::Ready(None) => this.flight.finish(),
            Poll::Ready(Some(Err(error))) => {
                this.flight.exchange.transport_failure = error.to_string();
                this.break_off(
                    ResponseFlag::UpstreamConnectionTermination,
                    "upstream_reset_after_response_started",
                );
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Streaming(streaming) => streaming.source.is_end_stream(),
            Form::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Form::Streaming(streaming) => streaming.source.size_hint(),
            Form::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

/// A body that was read to its end need not have been asked for the end once more.
impl Drop for Streaming {
    fn drop(&mut self) {
        if self.source.is_end_stream() {
            self.flight.finish();
        }
    }
}
