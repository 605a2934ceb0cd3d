//! The budgets of a plugin (`portcullis.dev/limits`).

use std::time::Duration;

/// A plugin's budgets; see `docs/plugins.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Start-up, configuration included.
    pub start: Duration,
    /// Linear memory, in bytes.
    pub memory: usize,
    /// One callback.
    pub callback: Duration,
    /// How long a callback runs before the worker serves others for a while; `None` runs it at once. Only under
    /// `isolation: request`.
    pub slice: Option<Duration>,
    /// All callbacks for one request together.
    pub request: Duration,
    /// A call of the plugin's to a cluster, where the plugin names no timeout.
    pub call: Duration,
    /// How much of a worker's time its long callbacks may take, in percent; 100 is no limit.
    pub share: u8,
    /// How many failures in how long end its running for a while.
    pub breaker: BreakerLimits,
    /// When an instance is replaced by a fresh one.
    pub recycling: Recycling,
    /// How many requests of one worker may have a sandbox at once, under `isolation: request`.
    pub sandboxes: u32,
    /// Its module, in bytes, as it is compiled.
    pub module: usize,
}

/// `breaker=20/10s`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// So many traps and breaches of budgets open it; 0 never does.
    pub failures: u32,
    /// Within this time; it stays open for as long.
    pub window: Duration,
}

/// `recycle=100000,recycle-memory=12Mi`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recycling {
    /// After so many requests.
    pub requests: Option<u32>,
    /// Once it has grown to so much memory, in bytes; three quarters of its limit where nothing is said.
    pub memory: Option<usize>,
}

impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits {
            start: Duration::from_secs(5),
            memory: 16 << 20,
            callback: Duration::from_millis(10),
            slice: None,
            request: Duration::from_millis(50),
            call: Duration::from_secs(1),
            share: 20,
            breaker: BreakerLimits { failures: 20, window: Duration::from_secs(10) },
            recycling: Recycling::default(),
            sandboxes: 256,
            module: 10 << 20,
        }
    }
}

impl PluginLimits {
    /// The memory at which an instance is replaced, in bytes.
    pub fn recycle_memory(&self) -> usize {
        self.recycling.memory.unwrap_or(self.memory / 4 * 3)
    }
}
