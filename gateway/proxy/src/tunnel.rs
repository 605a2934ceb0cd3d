//! A WebSocket in both directions, and the record of it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_exchange::ResponseFlag;
use portcullis_upstream::{UpstreamFailure, UpstreamTunnel};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::both_ways::{BothWays, Cause};
use crate::flight::Flight;
use crate::outdated::outdated;

/// An upstream that has switched to the protocol that the client asked for. Its bytes are carried by whoever
/// has the client's connection. Dropped, it closes the upstream's connection and leaves its record.
pub struct Tunnel {
    upstream: UpstreamTunnel,
    flight: Flight,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides have said all that they had to say.
    Clean,
    /// One of them failed, there was nothing to carry for too long, or the client may not be here any more.
    Broken,
}

impl Tunnel {
    pub(crate) fn new(upstream: UpstreamTunnel, flight: Flight) -> Self {
        Tunnel { upstream, flight }
    }

    /// Carries bytes both ways, as fast as their receivers take them. A side that ends has its end passed on,
    /// while the other goes on. The stream idle timeout is the only deadline.
    pub async fn carry(self, mut downstream: impl AsyncRead + AsyncWrite + Unpin) -> TunnelEnd {
        let Tunnel { mut upstream, mut flight } = self;
        let mut ways = BothWays::default();
        let mut quiet = stream_idle(&flight).map(Quiet::new);
        flight.let_go_of_configuration();
        let (worker, connection) = (flight.worker.clone(), flight.exchange.connection.clone());
        let mut outdated = pin!(outdated(&worker, &connection));
        let cause = poll_fn(|cx| {
            if outdated.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Cause::Outdated);
            }
            let before = ways.received() + ways.sent();
            let ended = ways.poll_carry(&mut downstream, &mut upstream, cx);
            flight.exchange.bytes_received = ways.received();
            flight.exchange.bytes_sent = ways.sent();
            if ended.is_ready() {
                return ended;
            }
            let Some(quiet) = &mut quiet else { return Poll::Pending };
            if ways.received() + ways.sent() > before {
                quiet.last = Instant::now();
            }
            quiet.poll_passed(cx).map(|()| Cause::Idle)
        });
        let cause = cause.await;
        close_record(flight, cause)
    }
}

fn close_record(mut flight: Flight, cause: Cause) -> TunnelEnd {
    match cause {
        Cause::BothEnded => {
            flight.finish();
            return TunnelEnd::Clean;
        }
        // As with any other request whose client leaves before its end.
        Cause::ClientGone => drop(flight),
        Cause::UpstreamFailed(error) => {
            let failure = UpstreamFailure::Reset(error.kind().to_string());
            flight.exchange.transport_failure = failure.to_string();
            flight.exchange.flags.set(ResponseFlag::UpstreamConnectionTermination);
            flight.exchange.code_details = "upstream_reset_after_response_started".into();
            flight.finish();
        }
        Cause::Idle => {
            flight.exchange.flags.set(ResponseFlag::StreamIdleTimeout);
            flight.exchange.code_details = "stream_idle_timeout".into();
            flight.finish();
        }
        // Only a connection without HTTP has an age.
        Cause::TooOld => {
            flight.exchange.flags.set(ResponseFlag::DurationTimeout);
            flight.exchange.code_details = "max_connection_duration".into();
            flight.finish();
        }
        // The bytes of a WebSocket pass no plugins.
        Cause::Plugin(_) => drop(flight),
        Cause::Outdated => {
            flight.exchange.flags.set(ResponseFlag::LocalReset);
            flight.exchange.code_details = "tls_policy_tightened".into();
            flight.finish();
        }
    }
    TunnelEnd::Broken
}

/// The time since anything passed, held against its limit.
struct Quiet {
    limit: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Quiet { limit, last: now, timer: Box::pin(sleep_until(now + limit)) }
    }

    /// Ready once nothing has passed for too long. A byte moves no timer; one that fires early is set anew.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.last + self.limit;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// The stream idle timeout of a request's listener, or of its rule.
fn stream_idle(flight: &Flight) -> Option<Duration> {
    let table = flight.table.as_ref()?;
    let policy = flight.choice.listener(table)?.settings.requests;
    let policy = flight.choice.rule(table).map_or(policy, |rule| policy.with(&rule.rule.overrides));
    // A clock goes no further.
    policy.stream_idle.map(|idle| idle.min(LONGEST))
}

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
