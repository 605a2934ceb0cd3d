//! Whether an endpoint takes new requests, and if not, why: what all workers read of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use crate::moment::{instant_of, millis_of};

const EJECTED: u8 = 1;
const UNHEALTHY: u8 = 2;
const REMOVED: u8 = 4;

/// Whether an endpoint takes new requests. One atomic says it; the rest says why.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    flags: AtomicU8,
    /// What active health checks found wrong.
    unhealthy: ArcSwapOption<String>,
    /// When the ejection ends, in milliseconds.
    ejected_until: AtomicU64,
    offence: AtomicU8,
    /// Ejections not yet forgiven.
    ejections: AtomicU32,
    /// When it last came back, in milliseconds.
    readmitted: AtomicU64,
}

/// What an endpoint was ejected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// Too many 5xx in a row (`consecutive5xxErrors`).
    ServerErrors,
    /// Too many 502, 503 and 504 in a row (`consecutiveGatewayErrors`).
    GatewayErrors,
    /// Too many failures in a row that it did not answer itself (`consecutiveLocalOriginFailures`).
    LocalFailures,
    /// No connection to it came about. This ejection is short, and needs no `outlierDetection`.
    NoConnection,
}

/// Why an endpoint does or does not take new requests, as `/clusters` shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointState {
    /// It takes requests.
    Healthy,
    /// It is out of rotation for what became of its requests.
    Ejected {
        /// What for.
        offence: Offence,
        /// When that ends.
        until: Instant,
    },
    /// Active health checks found it unwell.
    Unhealthy(Arc<String>),
    /// It has left its cluster.
    Removed,
}

impl Condition {
    /// Whether nothing speaks against sending to it.
    pub(crate) fn takes_load(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn state(&self) -> EndpointState {
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & REMOVED != 0 {
            return EndpointState::Removed;
        }
        if flags & UNHEALTHY != 0 {
            return EndpointState::Unhealthy(self.unhealthy.load_full().unwrap_or_default());
        }
        if flags & EJECTED != 0 {
            let until = instant_of(self.ejected_until.load(Ordering::Relaxed));
            return EndpointState::Ejected { offence: self.offence(), until };
        }
        EndpointState::Healthy
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & REMOVED != 0
    }

    /// Whether nothing speaks against it but that it has left its cluster.
    pub(crate) fn has_only_left(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == REMOVED
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & EJECTED != 0
    }

    /// Whether it is ejected for this.
    pub(crate) fn is_out_for(&self, offence: Offence) -> bool {
        self.is_ejected() && self.offence() == offence
    }

    /// Takes it out for good, and says whether an ejection ended with that.
    pub(crate) fn remove(&self) -> Ended {
        self.flags.fetch_or(REMOVED, Ordering::Relaxed);
        self.end_ejection()
    }

    /// Says whether that is news.
    pub(crate) fn set_unhealthy(&self, reason: String) -> bool {
        self.unhealthy.store(Some(Arc::new(reason)));
        self.flags.fetch_or(UNHEALTHY, Ordering::Relaxed) & UNHEALTHY == 0
    }

    /// Says whether that is news.
    pub(crate) fn set_healthy(&self) -> bool {
        self.flags.fetch_and(!UNHEALTHY, Ordering::Relaxed) & UNHEALTHY != 0
    }

    /// Ejects it for a time that its earlier ejections lengthen. Only one of several callers at a time
    /// succeeds.
    pub(crate) fn eject(&self, offence: Offence, term: &Term, now: Instant) -> bool {
        if self.is_ejected() {
            return false;
        }
        let nth = self.ejections_by(term, now) + 1;
        let until = millis_of(now) + term.length(nth).as_millis() as u64;
        // Set first: whoever sees the flag is to see no end that has passed.
        self.ejected_until.store(until, Ordering::Relaxed);
        self.offence.store(offence as u8, Ordering::Relaxed);
        let fresh = self.flags.fetch_or(EJECTED, Ordering::AcqRel) & EJECTED == 0;
        if fresh {
            self.ejections.store(nth, Ordering::Relaxed);
        }
        fresh
    }

    /// Lets it back in where its time is over.
    pub(crate) fn readmit(&self, now: Instant) -> Ended {
        if millis_of(now) < self.ejected_until.load(Ordering::Relaxed) {
            return Ended::Not;
        }
        self.readmitted.store(millis_of(now), Ordering::Relaxed);
        self.end_ejection()
    }

    /// When the ejection under way ends.
    pub(crate) fn ejected_until(&self) -> Option<Instant> {
        self.is_ejected().then(|| instant_of(self.ejected_until.load(Ordering::Relaxed)))
    }

    /// How many ejections count against it now: one is forgiven for each interval that it stayed in.
    fn ejections_by(&self, term: &Term, now: Instant) -> u32 {
        let stayed = millis_of(now).saturating_sub(self.readmitted.load(Ordering::Relaxed));
        let forgiven = stayed / (term.forgiven_every.as_millis() as u64).max(1);
        let earlier = self.ejections.load(Ordering::Relaxed);
        earlier.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// Says whether there was one.
    pub(crate) fn end_ejection(&self) -> Ended {
        let before = self.flags.fetch_and(!EJECTED, Ordering::AcqRel);
        if before & EJECTED == 0 { Ended::Not } else { Ended::Now }
    }

    fn offence(&self) -> Offence {
        match self.offence.load(Ordering::Relaxed) {
            0 => Offence::ServerErrors,
            1 => Offence::GatewayErrors,
            2 => Offence::LocalFailures,
            _ => Offence::NoConnection,
        }
    }
}

/// Whether an ejection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did, by this call and no other.
    Now,
    /// There was none, or it goes on.
    Not,
}

/// How long ejections last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) base: Duration,
    pub(crate) longest: Duration,
    /// For how long an endpoint has to stay in until one of its ejections no longer counts.
    pub(crate) forgiven_every: Duration,
    pub(crate) growth: Growth,
}

/// How the n-th ejection grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It lasts n times as long as the first.
    Linear,
    /// It lasts twice as long as the one before.
    Doubling,
}

impl Term {
    fn length(&self, nth: u32) -> Duration {
        let factor = match self.growth {
            Growth::Linear => nth,
            Growth::Doubling => 1 << nth.saturating_sub(1).min(16),
        };
        self.base.saturating_mul(factor).min(self.longest)
    }
}

impl Offence {
    /// All of them.
    pub const ALL: [Offence; 4] = [
        Offence::ServerErrors,
        Offence::GatewayErrors,
        Offence::LocalFailures,
        Offence::NoConnection,
    ];

    /// The word that metrics and `/clusters` have for it.
    pub fn word(self) -> &'static str {
        match self {
            Offence::ServerErrors => "consecutive_5xx",
            Offence::GatewayErrors => "consecutive_gateway_errors",
            Offence::LocalFailures => "consecutive_local_failures",
            Offence::NoConnection => "no_connection",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Term = Term {
        base: Duration::from_secs(30),
        longest: Duration::from_secs(100),
        forgiven_every: Duration::from_secs(10),
        growth: Growth::Linear,
    };

    /// How long each of these ejections lasts, in seconds, where the endpoint stays in for so long before each.
    fn lengths(stays: &[u64]) -> Vec<u64> {
        let condition = Condition::default();
        let mut now = Instant::now();
        let mut found = Vec::new();
        for stay in stays {
            now += Duration::from_secs(*stay);
            assert!(condition.eject(Offence::ServerErrors, &TERM, now));
            assert!(!condition.eject(Offence::ServerErrors, &TERM, now));
            let until = condition.ejected_until().unwrap();
            assert_eq!(condition.readmit(until - Duration::from_millis(500)), Ended::Not);
            found.push((until - now).as_millis().div_ceil(1_000) as u64);
            now = until;
            assert_eq!(condition.readmit(now), Ended::Now);
            assert_eq!(condition.readmit(now), Ended::Not);
        }
        found
    }

    #[test]
    fn the_nth_ejection_lasts_n_times_as_long_and_shrinks_again() {
        assert_eq!(lengths(&[0, 1, 1, 1]), [30, 60, 90, 100]);
        assert_eq!(lengths(&[0, 1, 11, 25]), [30, 60, 60, 30]);
    }

    #[test]
    fn doubling_stops_at_the_longest() {
        let term = Term { growth: Growth::Doubling, ..TERM };
        let seconds = |nth| term.length(nth).as_secs();
        assert_eq!([1, 2, 3, 99].map(seconds), [30, 60, 100, 100]);
    }

    #[test]
    fn a_reason_is_told_until_it_passes() {
        let condition = Condition::default();
        assert!(condition.takes_load());
        assert!(condition.set_unhealthy("503".to_owned()));
        assert!(!condition.set_unhealthy("timeout".to_owned()));
        assert_eq!(condition.state(), EndpointState::Unhealthy(Arc::new("timeout".to_owned())));
        assert!(condition.set_healthy() && !condition.set_healthy());
        assert_eq!(condition.state(), EndpointState::Healthy);
        condition.eject(Offence::NoConnection, &TERM, Instant::now());
        assert_eq!(condition.remove(), Ended::Now);
        assert_eq!((condition.state(), condition.remove()), (EndpointState::Removed, Ended::Not));
    }
}
