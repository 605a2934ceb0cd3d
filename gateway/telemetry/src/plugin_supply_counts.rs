//! What getting plugins ready comes to: fetches, compilations.
//!
//! Plain atomics, for all of it is a matter of the control side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::Counter;

/// What may come of a fetch; the last stands for any other.
const FETCHES: [&str; 9] = [
    "fetched",
    "unreachable",
    "refused",
    "too_large",
    "digest",
    "forbidden",
    "signature",
    "not_cached",
    "malformed",
];
/// How machine code comes to be.
const COMPILES: [&str; 3] = ["compiled", "cached", "failed"];

/// The counts of the process.
#[derive(Debug, Default)]
pub struct PluginSupplyCounts {
    fetches: [AtomicU64; FETCHES.len()],
    compiles: [AtomicU64; COMPILES.len()],
    compile_microseconds: AtomicU64,
}

/// How a module's machine code came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileResult {
    /// By the compiler.
    Compiled,
    /// It was kept.
    Cached,
    /// Not at all.
    Failed,
}

impl PluginSupplyCounts {
    /// A module was fetched, or not; `result` is a value of the label.
    pub fn fetched(&self, result: &str) {
        let known = FETCHES.iter().position(|known| *known == result);
        let count = known.and_then(|nth| self.fetches.get(nth)).or(self.fetches.last());
        if let Some(count) = count {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Machine code was made, or not, within this time.
    pub fn compiled(&self, result: CompileResult, took: Duration) {
        if let Some(count) = self.compiles.get(result as usize) {
            count.fetch_add(1, Relaxed);
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.compile_microseconds.fetch_add(took, Relaxed);
    }

    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "portcullis_plugin_fetches_total";
        text.family(name, Counter, "Modules fetched over the network, by what came of it.");
        for (result, count) in FETCHES.iter().zip(&self.fetches) {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
        let name = "portcullis_plugin_compiles_total";
        text.family(name, Counter, "Modules made into machine code, by how.");
        for (result, count) in COMPILES.iter().zip(&self.compiles) {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
        let help = "Time that compiling and loading modules took, in milliseconds.";
        let milliseconds = self.compile_microseconds.load(Relaxed) / 1000;
        text.single("portcullis_plugin_compile_milliseconds_total", Counter, help, milliseconds);
    }
}
