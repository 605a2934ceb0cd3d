//! Metrics as typed handles; the host keeps the numbers, one series per plugin object whatever the number of workers.

use crate::HostError;
use crate::abi::MetricKind;
use crate::host;

/// A number that only grows.
///
/// ```
/// use portcullis_sdk::metrics::Counter;
/// # portcullis_sdk::mock::Host::new();
///
/// let refused = Counter::define("refused")?;
/// refused.increment();
/// refused.add(2);
/// assert_eq!(refused.value()?, 3);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(u32);

impl Counter {
    /// Defines the counter, or finds the one of that name.
    pub fn define(name: &str) -> Result<Self, HostError> {
        host::define_metric(MetricKind::Counter, name).map(Counter)
    }

    /// Adds; adding nothing is no call. A count that the host refuses is lost: metrics never fail a request.
    pub fn add(self, amount: u64) {
        if let (1.., Ok(amount)) = (amount, i64::try_from(amount)) {
            let _ = host::increment_metric(self.0, amount);
        }
    }

    /// Adds one.
    pub fn increment(self) {
        self.add(1);
    }

    /// The present value over all workers.
    pub fn value(self) -> Result<u64, HostError> {
        host::metric_value(self.0)
    }
}

/// A number that rises and falls.
///
/// ```
/// use portcullis_sdk::metrics::Gauge;
/// # portcullis_sdk::mock::Host::new();
///
/// let waiting = Gauge::define("waiting")?;
/// waiting.set(5);
/// waiting.add(-2);
/// assert_eq!(waiting.value()?, 3);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge(u32);

impl Gauge {
    /// Defines the gauge, or finds the one of that name.
    pub fn define(name: &str) -> Result<Self, HostError> {
        host::define_metric(MetricKind::Gauge, name).map(Gauge)
    }

    /// Sets the value.
    pub fn set(self, value: u64) {
        let _ = host::record_metric(self.0, value);
    }

    /// Adds, or with a negative amount subtracts.
    pub fn add(self, amount: i64) {
        let _ = host::increment_metric(self.0, amount);
    }

    /// The present value.
    pub fn value(self) -> Result<u64, HostError> {
        host::metric_value(self.0)
    }
}

/// A distribution of observed values.
///
/// ```
/// use portcullis_sdk::metrics::Histogram;
/// # let host = portcullis_sdk::mock::Host::new();
///
/// Histogram::define("response_bytes")?.record(512);
/// assert_eq!(host.metrics().observed("response_bytes"), [512]);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram(u32);

impl Histogram {
    /// Defines the histogram, or finds the one of that name.
    pub fn define(name: &str) -> Result<Self, HostError> {
        host::define_metric(MetricKind::Histogram, name).map(Histogram)
    }

    /// Observes a value.
    pub fn record(self, value: u64) {
        let _ = host::record_metric(self.0, value);
    }
}
