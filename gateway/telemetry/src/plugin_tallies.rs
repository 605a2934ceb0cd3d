//! What is counted about a plugin as it runs: its faults, its pauses, what it was refused, the calls that it makes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::histogram::{SECOND_BOUNDS, bucket_of};
use crate::named_counts::NamedCounts;
use crate::plugin_phase::PluginPhase;

const PHASES: usize = PluginPhase::ALL.len();

/// Why a callback was the last of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCause {
    /// It trapped.
    Trap,
    /// It ran over its time.
    Time,
    /// It was denied memory.
    Memory,
}

/// What a plugin calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallProtocol {
    /// `http_call`
    Http,
    /// `grpc_call`, `grpc_stream`
    Grpc,
}

/// How a call of a plugin's ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It was answered.
    Answered,
    /// It failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// Nobody waits for it any more.
    Cancelled,
}

/// Counts of one plugin object, of all its instances together.
#[derive(Debug, Default)]
pub struct PluginTallies {
    faults: [[AtomicU64; PHASES]; 3],
    pauses: AtomicU64,
    refused: NamedCounts,
    calls: [[AtomicU64; 4]; 2],
    call_seconds: [AtomicU64; SECOND_BOUNDS.len() + 1],
    call_nanoseconds: AtomicU64,
}

impl PluginTallies {
    /// An instance failed in this phase.
    pub fn fault(&self, phase: PluginPhase, cause: FaultCause) {
        let counts = self.faults.get(cause as usize);
        if let Some(count) = counts.and_then(|counts| counts.get(phase as usize)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Something is held by the plugin.
    pub fn pause(&self) {
        self.pauses.fetch_add(1, Relaxed);
    }

    /// A host call was refused.
    pub fn refuse(&self, call: &'static str) {
        self.refused.count(call);
    }

    /// A call of the plugin's is over.
    pub fn call(&self, protocol: CallProtocol, result: CallResult, took: Duration) {
        let counts = self.calls.get(protocol as usize);
        if let Some(count) = counts.and_then(|counts| counts.get(result as usize)) {
            count.fetch_add(1, Relaxed);
        }
        let bucket = bucket_of(&SECOND_BOUNDS, took.as_secs_f64());
        if let Some(bucket) = self.call_seconds.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.call_nanoseconds.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    /// How often something was held.
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Relaxed)
    }

    /// Faults that there were, by phase and cause.
    pub fn faults(&self) -> impl Iterator<Item = (PluginPhase, FaultCause, u64)> {
        let causes = [FaultCause::Trap, FaultCause::Time, FaultCause::Memory];
        let of_cause = |(cause, counts): (FaultCause, &[AtomicU64; PHASES])| {
            let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
            let counts = PluginPhase::ALL.into_iter().zip(counts);
            counts.map(move |(phase, count)| (phase, cause, count))
        };
        let all = causes.into_iter().zip(&self.faults).flat_map(of_cause);
        all.filter(|(_, _, count)| *count > 0)
    }

    /// Host calls that were refused, by name.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.iter()
    }

    /// Calls that the plugin made, where there were any.
    pub fn calls(&self) -> impl Iterator<Item = (CallProtocol, CallResult, u64)> {
        let protocols = [CallProtocol::Http, CallProtocol::Grpc];
        let results =
            [CallResult::Answered, CallResult::Failed, CallResult::TimedOut, CallResult::Cancelled];
        let of_protocol = move |(protocol, counts): (CallProtocol, &[AtomicU64; 4])| {
            let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
            let counts = results.into_iter().zip(counts);
            counts.map(move |(result, count)| (protocol, result, count))
        };
        let all = protocols.into_iter().zip(&self.calls).flat_map(of_protocol);
        all.filter(|(_, _, count)| *count > 0)
    }

    /// How long calls took: buckets of [`SECOND_BOUNDS`], not cumulative, and the sum in seconds.
    pub(crate) fn call_seconds(&self) -> (Vec<u64>, f64) {
        let buckets = self.call_seconds.iter().map(|bucket| bucket.load(Relaxed)).collect();
        (buckets, self.call_nanoseconds.load(Relaxed) as f64 / 1e9)
    }
}

impl FaultCause {
    /// The value of the label `cause`.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultCause::Trap => "trap",
            FaultCause::Time => "time",
            FaultCause::Memory => "memory",
        }
    }
}

impl CallProtocol {
    /// The value of the label `protocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            CallProtocol::Http => "http",
            CallProtocol::Grpc => "grpc",
        }
    }
}

impl CallResult {
    /// The value of the label `result`.
    pub fn as_str(self) -> &'static str {
        match self {
            CallResult::Answered => "answered",
            CallResult::Failed => "failed",
            CallResult::TimedOut => "timed_out",
            CallResult::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_by_what_it_was() {
        let tallies = PluginTallies::default();
        tallies.fault(PluginPhase::Tick, FaultCause::Time);
        tallies.fault(PluginPhase::Tick, FaultCause::Time);
        tallies.fault(PluginPhase::Delete, FaultCause::Memory);
        tallies.call(CallProtocol::Grpc, CallResult::TimedOut, Duration::from_millis(30));
        tallies.pause();
        assert_eq!(
            tallies.faults().collect::<Vec<_>>(),
            [
                (PluginPhase::Tick, FaultCause::Time, 2),
                (PluginPhase::Delete, FaultCause::Memory, 1)
            ]
        );
        assert_eq!(
            tallies.calls().collect::<Vec<_>>(),
            [(CallProtocol::Grpc, CallResult::TimedOut, 1)]
        );
        assert_eq!(tallies.pauses(), 1);
        let (buckets, sum) = tallies.call_seconds();
        assert_eq!(buckets.iter().position(|count| *count == 1), Some(6));
        assert!((sum - 0.03).abs() < 1e-9);
    }
}
