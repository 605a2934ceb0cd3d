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
    /// Still accepting, but every response says that the connection closes.
    Closing,
}

impl Drain {
    /// The present phase.
    pub fn phase(&self) -> DrainPhase {
        if self.0.load(Ordering::Relaxed) == 0 { DrainPhase::Serving } else { DrainPhase::Closing }
    }

    /// From now on every response closes its connection.
    pub fn begin(&self) {
        self.0.store(1, Ordering::Relaxed);
    }
}
