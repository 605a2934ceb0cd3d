//! What became of an endpoint's requests, counted by all workers, and when that is too much.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use portcullis_model::OutlierDetection;

use crate::condition::{Growth, Offence, Term};
use crate::failure::UpstreamFailure;

/// What became of a request at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status.
    Answered(StatusCode),
    /// It took a connection whose bytes are passed on, of which nothing more is known.
    Connected,
    /// No connection to it came about.
    NoConnection,
    /// The connection broke, or what came was no HTTP, before the reply was complete.
    Broken,
    /// The reply was too late.
    Late,
}

impl Outcome {
    /// What a failure says of the endpoint; `None` where the fault is not its own.
    pub fn of(failure: &UpstreamFailure) -> Option<Outcome> {
        match failure {
            _ if failure.is_ours() => None,
            UpstreamFailure::ConnectRefused
            | UpstreamFailure::ConnectTimeout
            | UpstreamFailure::ConnectFailed(_) => Some(Outcome::NoConnection),
            _ => Some(Outcome::Broken),
        }
    }

    fn is_answer(self) -> bool {
        matches!(self, Outcome::Answered(_))
    }

    fn is_good(self) -> bool {
        match self {
            Outcome::Answered(status) => !status.is_server_error(),
            Outcome::Connected => true,
            Outcome::NoConnection | Outcome::Broken | Outcome::Late => false,
        }
    }

    fn is_gateway_error(self) -> bool {
        matches!(self, Outcome::Answered(status) if matches!(status.as_u16(), 502..=504))
    }
}

/// What became of an endpoint's requests.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Failures in a row, a lane of 16 bits for each [`Offence`]; all 0 is the rule.
    in_a_row: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Outcomes {
    /// Counts an outcome, and says what the endpoint is to be ejected for.
    pub(crate) fn count(
        &self,
        outcome: Outcome,
        rules: Option<&OutlierDetection>,
    ) -> Option<Offence> {
        if outcome.is_good() {
            self.good.fetch_add(1, Ordering::Relaxed);
            if self.in_a_row.load(Ordering::Relaxed) != 0 {
                self.in_a_row.store(0, Ordering::Relaxed);
            }
            return None;
        }
        self.bad.fetch_add(1, Ordering::Relaxed);
        self.count_bad(outcome, rules)
    }

    #[cold]
    fn count_bad(&self, outcome: Outcome, rules: Option<&OutlierDetection>) -> Option<Offence> {
        let split = rules.is_some_and(|rules| rules.split_local_failures);
        let step = |lanes: u64| Some(counted(lanes, outcome, split));
        let before =
            self.in_a_row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or(0);
        let lanes = counted(before, outcome, split);
        let offence = rules.and_then(|rules| offence(lanes, rules));
        offence.or_else(|| (outcome == Outcome::NoConnection).then_some(Offence::NoConnection))
    }

    /// What came before an ejection does not count after it.
    pub(crate) fn forget(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Good outcomes, and bad ones.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }
}

const SERVER_ERRORS: u32 = 0;
const GATEWAY_ERRORS: u32 = 16;
const LOCAL_FAILURES: u32 = 32;

fn counted(lanes: u64, outcome: Outcome, split: bool) -> u64 {
    let local = !outcome.is_answer();
    // An answer, even a bad one, shows that it can be reached. Where local failures are not counted apart they
    // are as good as a 503.
    let lanes = if local && split { lanes } else { after(lanes, SERVER_ERRORS, true) };
    let gateway =
        if split { outcome.is_gateway_error() } else { local || outcome.is_gateway_error() };
    let lanes = if local && split { lanes } else { after(lanes, GATEWAY_ERRORS, gateway) };
    after(lanes, LOCAL_FAILURES, local)
}

/// The lanes with one of them counted up, as far as it goes, or begun anew.
fn after(lanes: u64, lane: u32, counts: bool) -> u64 {
    let now = lane_of(lanes, lane);
    let then = if counts { now.saturating_add(1) } else { 0 };
    (lanes & !(u64::from(u16::MAX) << lane)) | (u64::from(then) << lane)
}

fn lane_of(lanes: u64, lane: u32) -> u16 {
    (lanes >> lane) as u16
}

fn offence(lanes: u64, rules: &OutlierDetection) -> Option<Offence> {
    let reached = |lane, limit: u32| {
        limit != 0 && u32::from(lane_of(lanes, lane)) >= limit.min(u32::from(u16::MAX))
    };
    if reached(SERVER_ERRORS, rules.consecutive_5xx) {
        Some(Offence::ServerErrors)
    } else if reached(GATEWAY_ERRORS, rules.consecutive_gateway_errors) {
        Some(Offence::GatewayErrors)
    } else if rules.split_local_failures
        && reached(LOCAL_FAILURES, rules.consecutive_local_failures)
    {
        Some(Offence::LocalFailures)
    } else {
        None
    }
}

/// The longest ejection, as Envoy has it where no other is set.
const LONGEST: Duration = Duration::from_secs(300);

/// The first ejection of an endpoint that takes no connection, and the longest. One request in that time finds
/// out whether it does again, and is sent elsewhere where not.
const UNREACHABLE_FOR: Duration = Duration::from_secs(1);
const UNREACHABLE_FOR_AT_MOST: Duration = Duration::from_secs(10);

/// How long an ejection lasts.
pub(crate) fn term_of(offence: Offence, rules: Option<&OutlierDetection>) -> Term {
    match (offence, rules) {
        (Offence::NoConnection, _) | (_, None) => Term {
            base: UNREACHABLE_FOR,
            longest: UNREACHABLE_FOR_AT_MOST,
            forgiven_every: UNREACHABLE_FOR_AT_MOST,
            growth: Growth::Doubling,
        },
        (_, Some(rules)) => Term {
            base: rules.base_ejection,
            longest: LONGEST.max(rules.base_ejection),
            forgiven_every: rules.interval,
            growth: Growth::Linear,
        },
    }
}

/// How many of so many endpoints may be out at a time.
pub(crate) fn most_ejected(offence: Offence, rules: Option<&OutlierDetection>, of: usize) -> usize {
    match (offence, rules) {
        // Half of them, and never the last: where none can be reached the fault may be on our side.
        (Offence::NoConnection, _) | (_, None) => of.div_ceil(2).min(of.saturating_sub(1)),
        (_, Some(rules)) => (of.saturating_mul(rules.max_ejection_percent as usize) / 100).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Outcome = Outcome::Answered(StatusCode::OK);
    const ERROR: Outcome = Outcome::Answered(StatusCode::INTERNAL_SERVER_ERROR);
    const UNAVAILABLE: Outcome = Outcome::Answered(StatusCode::SERVICE_UNAVAILABLE);

    fn rules() -> OutlierDetection {
        OutlierDetection {
            consecutive_5xx: 3,
            consecutive_gateway_errors: 2,
            consecutive_local_failures: 2,
            ..OutlierDetection::default()
        }
    }

    fn last(rules: Option<&OutlierDetection>, outcomes: &[Outcome]) -> Option<Offence> {
        let counts = Outcomes::default();
        outcomes.iter().map(|outcome| counts.count(*outcome, rules)).last().flatten()
    }

    #[test]
    fn failures_in_a_row_are_too_many() {
        let rules = rules();
        let last = |outcomes: &[Outcome]| last(Some(&rules), outcomes);
        assert_eq!(last(&[ERROR, ERROR, ERROR]), Some(Offence::ServerErrors));
        assert_eq!(last(&[ERROR, ERROR, OK, ERROR]), None);
        assert_eq!(last(&[UNAVAILABLE, UNAVAILABLE]), Some(Offence::GatewayErrors));
        assert_eq!(last(&[UNAVAILABLE, ERROR, UNAVAILABLE]), Some(Offence::ServerErrors));
        assert_eq!(last(&[UNAVAILABLE, Outcome::Broken]), Some(Offence::GatewayErrors));
        assert_eq!(last(&[Outcome::Late, ERROR, Outcome::Late]), Some(Offence::ServerErrors));
        assert_eq!(last(&[Outcome::Answered(StatusCode::NOT_FOUND); 9]), None);
    }

    #[test]
    fn local_failures_may_be_counted_apart() {
        let rules = OutlierDetection { split_local_failures: true, ..rules() };
        let last = |outcomes: &[Outcome]| last(Some(&rules), outcomes);
        assert_eq!(last(&[UNAVAILABLE, Outcome::Broken]), None);
        assert_eq!(last(&[Outcome::Broken, Outcome::Late]), Some(Offence::LocalFailures));
        assert_eq!(last(&[Outcome::Broken, ERROR, Outcome::Broken]), None);
        // What it answered before still counts.
        assert_eq!(last(&[UNAVAILABLE, Outcome::Late, UNAVAILABLE]), Some(Offence::GatewayErrors));
    }

    #[test]
    fn an_endpoint_that_takes_no_connection_is_out_without_any_rule() {
        assert_eq!(last(None, &[Outcome::NoConnection]), Some(Offence::NoConnection));
        assert_eq!(last(None, &[ERROR, Outcome::Broken, Outcome::Late]), None);
        let most = |of| most_ejected(Offence::NoConnection, None, of);
        assert_eq!([0, 1, 2, 3, 10].map(most), [0, 0, 1, 2, 5]);
    }

    #[test]
    fn at_least_one_may_be_ejected() {
        let rules = rules();
        let most = |of| most_ejected(Offence::ServerErrors, Some(&rules), of);
        assert_eq!([1, 5, 10, 29, 30].map(most), [1, 1, 1, 2, 3]);
    }
}
