//! The last faults of a plugin's instances, for whoever looks why it fails.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;
use portcullis_telemetry::{FaultCause, PluginPhase, PluginTallies};

use crate::effects::{FaultKind, PluginFault};

/// So many are kept.
const MOST_KEPT: usize = 8;
/// Of a backtrace no more is kept, in bytes.
const MOST_BACKTRACE: usize = 4 << 10;
/// Of a message neither.
const MOST_MESSAGE: usize = 512;

/// One fault, as `/plugins` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// When.
    pub at: SystemTime,
    /// In which callback, as metrics name it.
    pub phase: &'static str,
    /// How it failed.
    pub kind: FaultKind,
    /// What happened, in one line.
    pub message: String,
    /// The guest's call stack, cut where it is long.
    pub backtrace: String,
}

/// The last faults, the latest last. Writing never waits: a record is lost where somebody looks at this moment.
#[derive(Default)]
pub(crate) struct FaultLog(Mutex<VecDeque<FaultRecord>>);

impl FaultLog {
    /// A copy of them.
    pub(crate) fn last(&self) -> Vec<FaultRecord> {
        self.0.lock().iter().cloned().collect()
    }

    /// Counts a fault by phase and cause, and keeps it.
    pub(crate) fn note(&self, tallies: &PluginTallies, phase: PluginPhase, fault: &PluginFault) {
        let cause = match fault.kind {
            FaultKind::Deadline => FaultCause::Time,
            FaultKind::Memory => FaultCause::Memory,
            _ => FaultCause::Trap,
        };
        tallies.fault(phase, cause);
        self.keep(FaultRecord {
            at: SystemTime::now(),
            phase: phase.as_str(),
            kind: fault.kind,
            message: cut(&fault.message, MOST_MESSAGE),
            backtrace: cut(&fault.backtrace, MOST_BACKTRACE),
        });
    }

    fn keep(&self, record: FaultRecord) {
        if let Some(mut kept) = self.0.try_lock() {
            if kept.len() == MOST_KEPT {
                kept.pop_front();
            }
            kept.push_back(record);
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start} …"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_faults_are_kept_and_their_texts_cut() {
        let log = FaultLog::default();
        for nth in 0..MOST_KEPT + 3 {
            log.keep(FaultRecord {
                at: SystemTime::now(),
                phase: "on_tick",
                kind: FaultKind::Trap,
                message: nth.to_string(),
                backtrace: String::new(),
            });
        }
        let last = log.last();
        assert_eq!(last.len(), MOST_KEPT);
        assert_eq!(last[0].message, "3");
        assert_eq!(cut("äöü", 3), "ä …");
        assert_eq!(cut("äöü", 6), "äöü");
    }
}
