//! One run of `plugin bench`, as it is kept.

use serde::{Deserialize, Serialize};

use crate::callback_costs::CallbackCost;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRun {
    /// Which exchange was sent.
    pub exchange: String,
    /// The module's size, in bytes.
    pub module_bytes: usize,
    /// The median of a start, in nanoseconds: instantiation up to the end of `proxy_on_configure`.
    pub start_nanoseconds: u64,
    /// The most memory that an instance had, in bytes.
    pub memory_bytes: usize,
    /// Every callback that the module has and that the exchange reaches.
    pub callbacks: Vec<CallbackCost>,
}
