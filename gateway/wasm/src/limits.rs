//! How much memory and how many table elements one instance may have, and the count of what it has.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use portcullis_telemetry::PluginMetrics;
use wasmtime::ResourceLimiter;

/// Elements of one table. Go modules have some ten thousand; each costs the host 8 bytes.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 17;

/// The memory account of one instance: denies what is above the limit, and tells the plugin's metrics. The
/// instance counts as alive for as long as this exists.
pub(crate) struct MemoryAccount {
    limit: usize,
    held: usize,
    /// What it had once it was started.
    at_start: usize,
    /// What all instances of the plugin together may have, where that is bounded, in bytes.
    most_together: u64,
    denied: bool,
    metrics: Arc<PluginMetrics>,
}

impl MemoryAccount {
    /// An account for an instance that is being made.
    pub(crate) fn open(limit: usize, metrics: Arc<PluginMetrics>) -> Self {
        metrics.instances.fetch_add(1, Relaxed);
        let most_together = u64::MAX;
        MemoryAccount { limit, held: 0, at_start: 0, most_together, denied: false, metrics }
    }

    /// The same, for one of many that come and go: together they have no more than so much.
    pub(crate) fn open_among(limit: usize, together: u64, metrics: Arc<PluginMetrics>) -> Self {
        let mut account = Self::open(limit, metrics);
        account.most_together = together;
        account
    }

    /// The memory that it has, in bytes. Memories never shrink: it is also the most that it had.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The instance has been started.
    pub(crate) fn note_start(&mut self) {
        self.at_start = self.held;
    }

    /// Whether it has grown since its start, to so much or more.
    pub(crate) fn has_grown_to(&self, mark: usize) -> bool {
        self.held >= mark && self.held > self.at_start
    }

    /// Whether anything was denied since the last call of this.
    pub(crate) fn take_denied(&mut self) -> bool {
        std::mem::take(&mut self.denied)
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        self.metrics.instances.fetch_sub(1, Relaxed);
        self.metrics.memory_bytes.fetch_sub(self.held as u64, Relaxed);
    }
}

impl ResourceLimiter for MemoryAccount {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limit {
            self.denied = true;
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let grown = desired.saturating_sub(current);
        let together = self.metrics.memory_bytes.load(Relaxed).saturating_add(grown as u64);
        if together > self.most_together {
            self.denied = true;
            return Ok(false);
        }
        self.held += grown;
        self.metrics.memory_bytes.fetch_add(grown as u64, Relaxed);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let denied = desired > TABLE_ELEMENTS;
        self.denied |= denied;
        Ok(!denied)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        4
    }

    fn memories(&self) -> usize {
        1
    }
}
