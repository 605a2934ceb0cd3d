//! Forwarding: send a request to its cluster, and once more where that is wanted, harmless and within bounds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::Response;
use http_body::Body as _;
use portcullis_exchange::ResponseFlag;
use portcullis_model::{RetryPolicy, Rule};
use portcullis_upstream::{Outcome, RepeatUnderWay, UpstreamBody};

use crate::ProxyError;
use crate::attempt::{Failed, attempt};
use crate::dynamic_host::{choose_host, is_dynamic};
use crate::flight::Flight;
use crate::outbound::Outbound;
use crate::pause::{Asked, backoff};
use crate::retry::{Answered, Fate, Verdict, is_worth_another};
use crate::route_timeout::{RouteTimeout, within};

/// Sends a request to its cluster and returns the reply's head with its body streaming.
pub(crate) async fn forward(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    if is_dynamic(outbound) {
        Box::pin(choose_host(flight, outbound)).await?;
    }
    match outbound.timeout {
        None => send(flight, outbound).await,
        // Few routes have one, so it stays out of every request's future.
        Some(timeout) => Box::pin(send_within(timeout, flight, outbound)).await,
    }
}

/// As [`send`], under the route's timeout: from the last byte of the request to the last of the reply.
async fn send_within(
    timeout: Duration,
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let timeout = RouteTimeout::begin(timeout, flight.upload.clone());
    let result = within(&timeout, send(flight, outbound)).await;
    flight.timeout = Some(timeout);
    result.unwrap_or_else(|| {
        if outbound.request.is_none() {
            flight.record_outcome(Outcome::Late);
        }
        Err(ProxyError::UpstreamTimeout)
    })
}

/// One attempt, and as many more as it is worth. Few requests need those, so they too stay out of every future.
async fn send(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    match attempt(flight, outbound).await {
        Ok(response) if outbound.kept.head().is_none() => Ok(response),
        first => Box::pin(send_again(flight, outbound, first)).await,
    }
}

/// What became of an attempt.
type Attempt = Result<Response<UpstreamBody>, Failed>;

/// Sends a request again until what comes of it is not worth another attempt.
async fn send_again(
    flight: &mut Flight,
    outbound: &mut Outbound,
    mut last: Attempt,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let Some(rule) = rule_of(flight) else { return conclude(last) };
    let mut repeats = 0;
    while let Some(plan) = plan_another(flight, outbound, &rule.retries, &last) {
        let error = last.map(let_go_of).err();
        // Before the pause: what is late from here on is no endpoint's fault.
        outbound.prepare_again();
        if !plan.pause.is_zero() {
            tokio::time::sleep(plan.pause).await;
        }
        repeats += 1;
        flight.worker.settings.counts.upstream().repeat_sent();
        last = match (attempt(flight, outbound).await, error) {
            // What was wrong before says more.
            (Err(Failed { error: ProxyError::NoHealthyUpstream, .. }), Some(before)) => Err(before),
            (next, _) => next,
        };
    }
    if repeats > 0 && last.is_ok() {
        flight.worker.settings.counts.upstream().repeat_helped();
    }
    conclude(last)
}

fn rule_of(flight: &Flight) -> Option<Arc<Rule>> {
    let rule = flight.table.as_ref().and_then(|table| flight.choice.rule(table));
    rule.map(|rule| rule.rule.clone())
}

fn conclude(last: Attempt) -> Result<Response<UpstreamBody>, ProxyError> {
    last.map_err(|failed| failed.error)
}

/// Another attempt that may be made.
struct Plan {
    pause: Duration,
    /// Its place among the repeats under way.
    _room: RepeatUnderWay,
}

/// Whether there is to be another attempt, and when. Why there is none although it were worth it stands in the record.
fn plan_another(
    flight: &mut Flight,
    outbound: &mut Outbound,
    policy: &RetryPolicy,
    last: &Attempt,
) -> Option<Plan> {
    let (fate, asked) = match last {
        Ok(response) => {
            let answered = Answered::of(response.status(), response.headers());
            (Fate::Answered(answered), Asked::by(response.headers()))
        }
        Err(failed) => (failed.fate, Asked::Nothing),
    };
    let safety = outbound.safety(flight.worker.settings.unsafe_repeats);
    let counts = flight.worker.settings.counts.clone();
    let cost = match is_worth_another(policy, safety, flight.exchange.attempts, fate) {
        Verdict::Final => return None,
        Verdict::Spent => {
            flight.exchange.flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
            counts.upstream().repeats_exhausted();
            return None;
        }
        Verdict::Again(cost) => cost,
    };
    let pause = pause_before(flight.exchange.attempts, outbound, policy, fate, asked)?;
    let room = outbound.cluster.take_repeat(cost, Instant::now());
    if room.is_none() {
        flight.exchange.flags.set(ResponseFlag::UpstreamOverflow);
        counts.upstream().repeat_over_budget();
    }
    Some(Plan { pause, _room: room? })
}

/// How long to wait before another attempt; `None` where that makes no sense.
fn pause_before(
    attempts: u32,
    outbound: &mut Outbound,
    policy: &RetryPolicy,
    fate: Fate,
    asked: Asked,
) -> Option<Duration> {
    if !fate.is_unsent() && !outbound.kept.is_whole() {
        return None;
    }
    let pause = backoff(policy.backoff, attempts);
    match fate {
        Fate::Unreached | Fate::Unsent | Fate::Stale if outbound.has_untried() => {
            Some(Duration::ZERO)
        }
        // Who takes no connection is asked once more, in case it has just begun to.
        Fate::Unreached => (!std::mem::replace(&mut outbound.asked_twice, true)).then_some(pause),
        Fate::Unsent | Fate::Stale if attempts == 1 => Some(Duration::ZERO),
        _ => match asked {
            Asked::Nothing => Some(pause),
            Asked::For(longer) => Some(longer.max(pause)),
            Asked::TooLong => None,
        },
    }
}

/// Reads what is already there of a reply that nobody wants, so that its connection can serve on; one that has more
/// to say is closed.
fn let_go_of(response: Response<UpstreamBody>) {
    let mut body = response.into_body();
    let mut cx = Context::from_waker(Waker::noop());
    let mut room = MOST_READ;
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) {
        match room.checked_sub(frame.data_ref().map_or(0, |data| data.len())) {
            Some(left) => room = left,
            None => break,
        }
    }
}

/// As much of an unwanted reply is read, in bytes.
const MOST_READ: usize = 16 << 10;
