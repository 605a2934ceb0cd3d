//! The mock host's metrics, by the rules of real hosts.

use crate::HostError;
use crate::abi::MetricKind;

/// Every metric that the filter defined.
///
/// ```
/// use portcullis_sdk::metrics::{Counter, Histogram};
/// use portcullis_sdk::mock::Host;
///
/// let host = Host::new();
/// Counter::define("requests")?.increment();
/// Histogram::define("size")?.record(512);
/// assert_eq!(host.metrics().names(), ["requests", "size"]);
/// assert_eq!(host.metrics().read("requests"), Some(1));
/// assert_eq!(host.metrics().observed("size"), [512]);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    defined: Vec<Metric>,
}

#[derive(Clone, Debug)]
struct Metric {
    kind: MetricKind,
    name: String,
    value: u64,
    observed: Vec<u64>,
}

impl Metrics {
    /// The value of a counter or gauge; None when it was never defined.
    pub fn read(&self, name: &str) -> Option<u64> {
        self.find(name).map(|metric| metric.value)
    }

    /// What a histogram observed; empty when it was never defined.
    pub fn observed(&self, name: &str) -> Vec<u64> {
        self.find(name).map(|metric| metric.observed.clone()).unwrap_or_default()
    }

    /// All names, in the order of definition.
    pub fn names(&self) -> Vec<&str> {
        self.defined.iter().map(|metric| metric.name.as_str()).collect()
    }

    fn find(&self, name: &str) -> Option<&Metric> {
        self.defined.iter().find(|metric| metric.name == name)
    }

    pub(crate) fn define(&mut self, kind: MetricKind, name: &str) -> Result<u32, HostError> {
        let known =
            self.defined.iter().position(|metric| metric.kind == kind && metric.name == name);
        let index = known.unwrap_or_else(|| {
            self.defined.push(Metric {
                kind,
                name: name.to_owned(),
                value: 0,
                observed: Vec::new(),
            });
            self.defined.len() - 1
        });
        u32::try_from(index).map_err(|_| HostError::new("define_metric", HostError::BAD_ARGUMENT))
    }

    /// Counters only grow, histograms do not count.
    pub(crate) fn increment(&mut self, id: u32, amount: i64) -> Result<(), HostError> {
        let metric = self.by_id("increment_metric", id)?;
        match metric.kind {
            MetricKind::Counter if amount > 0 => metric.value += amount.unsigned_abs(),
            MetricKind::Gauge => metric.value = metric.value.saturating_add_signed(amount),
            _ => return Err(HostError::new("increment_metric", HostError::BAD_ARGUMENT)),
        }
        Ok(())
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), HostError> {
        let metric = self.by_id("record_metric", id)?;
        match metric.kind {
            MetricKind::Counter => metric.value += value,
            MetricKind::Gauge => metric.value = value,
            MetricKind::Histogram => metric.observed.push(value),
        }
        Ok(())
    }

    pub(crate) fn value(&mut self, id: u32) -> Result<u64, HostError> {
        let metric = self.by_id("get_metric", id)?;
        match metric.kind {
            MetricKind::Histogram => Err(HostError::new("get_metric", HostError::BAD_ARGUMENT)),
            _ => Ok(metric.value),
        }
    }

    fn by_id(&mut self, call: &'static str, id: u32) -> Result<&mut Metric, HostError> {
        let index = usize::try_from(id).unwrap_or(usize::MAX);
        self.defined.get_mut(index).ok_or(HostError::new(call, HostError::NOT_FOUND))
    }
}
