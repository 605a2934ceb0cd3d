//! What the callbacks of a filter cost: time and fuel of many calls, and the middle of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one callback costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallbackCost {
    /// The export, as `proxy_on_request_headers`; `end`: `on_done`, `on_log` and `on_delete` together.
    pub callback: String,
    /// How often it is called in one exchange.
    pub calls: f64,
    /// The median of its time, in nanoseconds, on the engine that serves.
    pub nanoseconds: u64,
    /// The median of its fuel.
    pub fuel: u64,
}

/// The calls of every callback, as they are measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallbackCosts(Vec<Series>);

#[derive(Clone, Debug)]
struct Series {
    callback: &'static str,
    nanoseconds: Vec<u64>,
    fuel: Vec<u64>,
}

impl CallbackCosts {
    /// One call on the engine that serves.
    pub(crate) fn add_time(&mut self, callback: &'static str, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.add(callback, |series| series.nanoseconds.push(nanoseconds));
    }

    /// One call on the engine that counts.
    pub(crate) fn add_fuel(&mut self, callback: &'static str, fuel: u64) {
        self.add(callback, |series| series.fuel.push(fuel));
    }

    /// The middle of each, in the order of an exchange; of `exchanges` that were timed.
    pub(crate) fn medians(&self, exchanges: usize) -> Vec<CallbackCost> {
        let cost = |series: &Series| CallbackCost {
            callback: series.callback.to_owned(),
            calls: series.nanoseconds.len() as f64 / exchanges.max(1) as f64,
            nanoseconds: median(&series.nanoseconds),
            fuel: median(&series.fuel),
        };
        self.0.iter().map(cost).collect()
    }

    fn add(&mut self, callback: &'static str, to: impl FnOnce(&mut Series)) {
        match self.0.iter_mut().find(|series| series.callback == callback) {
            Some(series) => to(series),
            None => {
                let mut series = Series { callback, nanoseconds: Vec::new(), fuel: Vec::new() };
                to(&mut series);
                self.0.push(series);
            }
        }
    }
}

/// The middle one; 0 of none.
pub(crate) fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_call_counts_and_the_order_stays() {
        let mut costs = CallbackCosts::default();
        for nanoseconds in [900, 100, 200] {
            costs.add_time("proxy_on_request_headers", Duration::from_nanos(nanoseconds));
            costs.add_time("end", Duration::from_nanos(5));
            costs.add_time("end", Duration::from_nanos(5));
        }
        costs.add_fuel("end", 7);
        let medians = costs.medians(3);
        let of =
            |cost: &CallbackCost| (cost.callback.clone(), cost.calls, cost.nanoseconds, cost.fuel);
        let [head, end] = &medians[..] else { panic!("{medians:?}") };
        assert_eq!(of(head), ("proxy_on_request_headers".to_owned(), 1.0, 200, 0));
        assert_eq!(of(end), ("end".to_owned(), 2.0, 5, 7));
    }

    #[test]
    fn of_nothing_there_is_no_middle() {
        assert_eq!(median(&[]), 0);
    }
}
