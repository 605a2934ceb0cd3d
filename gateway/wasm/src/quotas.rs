//! What the log gets of a plugin on one worker in a second.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::allowance::{Allowance, Taken};

/// So many refused calls are logged in a second.
const REFUSALS_LOGGED: usize = 5;
/// So many bytes of its own log lines are written in a second.
const LOG_BYTES: usize = 256 << 10;

/// One for each instance that lasts; the sandboxes that a worker has of a plugin have one together, so that a plugin
/// writes no more where each request brings a fresh one. Nobody but that worker takes its lock.
#[derive(Clone, Debug)]
pub(crate) struct LogQuota(Arc<Mutex<Left>>);

#[derive(Debug)]
struct Left {
    refusals: Allowance,
    bytes: Allowance,
}

impl Default for LogQuota {
    fn default() -> Self {
        let (refusals, bytes) = (Allowance::of(REFUSALS_LOGGED), Allowance::of(LOG_BYTES));
        LogQuota(Arc::new(Mutex::new(Left { refusals, bytes })))
    }
}

impl LogQuota {
    /// For one refused call.
    pub(crate) fn take_refusal(&self) -> Taken {
        self.0.lock().refusals.take(1)
    }

    /// For a line of so many bytes.
    pub(crate) fn take_line(&self, bytes: usize) -> Taken {
        self.0.lock().bytes.take(bytes)
    }
}
