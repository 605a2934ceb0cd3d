//! The body of a response, with the record that is closed when it ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_exchange::ResponseFlag;
use portcullis_message::{Body, BodyError};
use portcullis_upstream::{Outcome, UpstreamBody, UpstreamTunnel};
use tokio::time::{Instant, Sleep};

use crate::ProxyError;
use crate::error::details_of;
use crate::flight::Flight;
use crate::flow::Out;
use crate::route_timeout::RouteTimeout;
use crate::stop::Stop;
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
pub(crate) struct Deadline {
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
    pub(crate) fn is_upstream(&self) -> bool {
        matches!(self, Source::Upstream(_))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Reply(body) => body.is_end_stream(),
            Source::Tunnel(_) => true,
        }
    }

    /// Whether an upstream would let whoever asks for more wait.
    fn has_nothing_to_give(&mut self) -> bool {
        let Source::Upstream(body) = self else { return false };
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Source::Upstream(body) => body.size_hint(),
            Source::Reply(body) => body.size_hint(),
            Source::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

impl HttpBody for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
            Source::Reply(body) => Pin::new(body).poll_frame(cx),
            Source::Tunnel(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        Source::is_end_stream(self)
    }

    fn size_hint(&self) -> SizeHint {
        Source::size_hint(self)
    }
}

impl Deadline {
    /// Looks when the timeout says to.
    pub(crate) fn new(timeout: RouteTimeout) -> Self {
        let look = timeout.next_look(Instant::now());
        Deadline { timeout, timer: Box::pin(tokio::time::sleep_until(look)) }
    }

    /// The timeout, which runs on.
    pub(crate) fn into_timeout(self) -> RouteTimeout {
        self.timeout
    }

    /// Ready once it has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.timeout.has_passed(now) {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.timeout.next_look(now));
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
        let ended = source.is_end_stream() && flight.response_flow.is_none();
        let timeout = flight.timeout.take().filter(|_| !ended);
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

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stop>>> {
        let Flight { response_flow, exchange, pump, .. } = &mut self.flight;
        if let Some(pump) = pump
            && let Poll::Ready(stop) = pump.watch().poll_stopped(cx)
        {
            return Poll::Ready(Some(Err(stop)));
        }
        let Some(flow) = response_flow else {
            let frame = Pin::new(&mut self.source).poll_frame(cx);
            return frame.map_err(|error| Stop::Error(broken(&error)));
        };
        let out = ready!(flow.poll_next(cx, exchange, &mut self.source));
        Poll::Ready(match out {
            Ok(Out::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Out::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Out::End) => None,
            Err(stop) => Some(Err(stop)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.flight.response_flow {
            Some(flow) => flow.is_ended(),
            None => self.source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.flight.response_flow {
            None => self.source.size_hint(),
            Some(flow) if flow.keeps_length() => self.source.size_hint(),
            Some(flow) => flow.whole_length().map_or_else(SizeHint::new, SizeHint::with_exact),
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

    /// The client has the head: it must not take what it has of the body for the whole.
    fn stop(&mut self, stop: &Stop) {
        match stop {
            Stop::Error(ProxyError::UpstreamTermination(reason)) => {
                self.flight.record_outcome(Outcome::Broken);
                self.flight.exchange.transport_failure.clone_from(reason);
                let flag = ResponseFlag::UpstreamConnectionTermination;
                self.break_off(flag, "upstream_reset_after_response_started");
            }
            Stop::Error(error) => self.break_off(ResponseFlag::LocalReset, details_of(error)),
            Stop::Reply(_) => {
                self.break_off(
                    ResponseFlag::LocalReset,
                    "wasm_local_response_after_response_started",
                );
            }
        }
    }

    fn break_off(&mut self, flag: ResponseFlag, details: &'static str) {
        self.flight.exchange.flags.set(flag);
        self.flight.exchange.code_details = details.into();
        self.flight.finish();
    }
}

/// An upstream that broke off.
fn broken(error: &BodyError) -> ProxyError {
    ProxyError::UpstreamTermination(error.to_string())
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
            // Where the reply is there to be taken, it is the client that was slow.
            if this.poll_source(cx).is_pending() {
                this.flight.record_outcome(Outcome::Late);
            }
            this.break_off(ResponseFlag::UpstreamRequestTimeout, "upstream_response_timeout");
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        }
        let frame = this.poll_source(cx);
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => this.note(frame),
            Poll::Ready(None) => this.flight.finish(),
            Poll::Ready(Some(Err(stop))) => this.stop(stop),
        }
        frame.map_err(|_| BodyError::Disconnected)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Streaming(streaming) => streaming.is_end_stream(),
            Form::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Form::Streaming(streaming) => streaming.size_hint(),
            Form::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

/// A body that was read to its end need not have been asked for the end once more. One that was broken off for its
/// silence is held against its endpoint.
impl Drop for Streaming {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.flight.finish();
        } else if self.flight.progress.upstream_is_silent() && self.source.has_nothing_to_give() {
            self.flight.record_outcome(Outcome::Late);
        }
    }
}
