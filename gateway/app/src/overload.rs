//! Looking at memory once a second, and easing the load before the system would end the process.

use std::sync::Arc;
use std::time::Duration;

use portcullis_edge::Workers;
use portcullis_proxy::{Overload, OverloadLevel};
use portcullis_telemetry::EdgeCounts;
use tokio::time::{MissedTickBehavior, interval};

use crate::memory::Memory;

/// Shares of the limit, in percent.
const DRAIN: u64 = 92;
const REFUSE: u64 = 95;
/// A level is left only this far below where it began, so that it does not flutter.
const SLACK: u64 = 3;

/// Whom overload concerns.
pub(crate) struct Overloaded {
    /// Told by each request.
    pub overload: Overload,
    /// Told to send connections away.
    pub workers: Arc<Workers>,
    /// Told for the metrics.
    pub counts: Arc<EdgeCounts>,
}

/// Looks for as long as it is polled.
pub(crate) async fn watch(memory: Memory, concerned: Overloaded) {
    tracing::info!(limit = memory.limit, "memory is watched");
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(used) = memory.used() {
            concerned.note(used, memory.limit);
        }
    }
}

impl Overloaded {
    fn note(&self, used: u64, limit: u64) {
        let before = self.overload.level();
        let level = next_level(before, used, limit);
        self.overload.set(level);
        self.counts.set_memory(used, limit, level as u64);
        match level {
            _ if level == before => {}
            OverloadLevel::None => tracing::info!(used, limit, "there is memory again"),
            OverloadLevel::Draining => {
                tracing::warn!(used, limit, "memory is short: connections are asked to go")
            }
            OverloadLevel::Refusing => {
                tracing::warn!(used, limit, "memory is short: requests are refused")
            }
        }
        if level > OverloadLevel::None {
            // Also those that have come since.
            self.workers.relieve();
        }
    }
}

fn next_level(present: OverloadLevel, used: u64, limit: u64) -> OverloadLevel {
    let share = u128::from(used) * 100 / u128::from(limit.max(1));
    let reached = |percent: u64, level: OverloadLevel| {
        let slack = if present >= level { SLACK } else { 0 };
        share >= u128::from(percent - slack)
    };
    if reached(REFUSE, OverloadLevel::Refusing) {
        OverloadLevel::Refusing
    } else if reached(DRAIN, OverloadLevel::Draining) {
        OverloadLevel::Draining
    } else {
        OverloadLevel::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_left_later_than_they_are_entered() {
        let mut level = OverloadLevel::None;
        let mut at = |percent: u64| {
            level = next_level(level, percent * 10, 1000);
            level
        };
        use OverloadLevel::{Draining, None, Refusing};
        assert_eq!(
            [91, 92, 90, 89, 88, 91].map(&mut at),
            [None, Draining, Draining, Draining, None, None]
        );
        assert_eq!(
            [95, 92, 91, 94, 95, 50].map(&mut at),
            [Refusing, Refusing, Draining, Draining, Refusing, None]
        );
    }
}
