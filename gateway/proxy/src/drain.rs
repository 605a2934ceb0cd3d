//! Whether the process is on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far the drain has come. Shared by every worker; it only moves forward.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<AtomicU8>);

/// A phase of the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Serving.
    Serving,
    /// Another process serves on, so health is as before; but every response says that the connection closes.
    HandedOver,
    /// Still accepting, but every response says that the connection closes.
    Draining,
    /// What is left is cut off.
    Cutting(CutReason),
}

/// Why requests are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CutReason {
    /// They outlasted the drain timeout.
    DrainTimeout,
    /// Somebody asked for the end at once.
    ShutDown,
}

impl Drain {
    /// The present phase.
    pub fn phase(&self) -> DrainPhase {
        match self.0.load(Ordering::Relaxed) {
            0 => DrainPhase::Serving,
            1 => DrainPhase::HandedOver,
            2 => DrainPhase::Draining,
            3 => DrainPhase::Cutting(CutReason::DrainTimeout),
            _ => DrainPhase::Cutting(CutReason::ShutDown),
        }
    }

    /// From now on every response closes its connection.
    pub fn begin(&self) {
        self.0.fetch_max(2, Ordering::Relaxed);
    }

    /// The same, while another process serves on in our place.
    pub fn hand_over(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// From now on a request that ends early was cut off by us, and not left by its client.
    pub fn cut(&self, reason: CutReason) {
        let phase = match reason {
            CutReason::DrainTimeout => 3,
            CutReason::ShutDown => 4,
        };
        self.0.fetch_max(phase, Ordering::Relaxed);
    }
}

impl CutReason {
    /// As the access log tells it.
    pub fn details(self) -> &'static str {
        match self {
            CutReason::DrainTimeout => "drain_timeout",
            CutReason::ShutDown => "shut_down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_moves_forward() {
        let drain = Drain::default();
        assert_eq!(drain.phase(), DrainPhase::Serving);
        drain.hand_over();
        assert_eq!(drain.phase(), DrainPhase::HandedOver);
        drain.cut(CutReason::DrainTimeout);
        drain.begin();
        assert_eq!(drain.phase(), DrainPhase::Cutting(CutReason::DrainTimeout));
    }
}
