//! `telemetry`: counts requests by route and status class, measures how long they took, and gives each a trace id.
//!
//! Works without configuration. What it is *not*: a tracer; it makes no spans, it only carries the identity of a trace on,
//! into the access log (`%FILTER_STATE(wasm.trace_id:PLAIN)%`) and to an upstream that was sent none.

mod identity;
mod series;
mod trace;

use portcullis_sdk::prelude::*;
use portcullis_sdk::property;

use crate::identity::Identities;
use crate::series::{SeriesTable, StatusClass};

/// The property that the access log reads as `wasm.trace_id`.
const TRACE_ID: &str = "trace_id";

/// The configuration; every field has a default.
#[configuration]
#[derive(Debug)]
#[serde(default)]
pub struct Settings {
    /// Whether requests without `traceparent` get one.
    pub add_traceparent: bool,
    /// Whether a trace that begins here is marked as sampled.
    pub sample_new_traces: bool,
    /// Series at most, each being a route with a status class; what comes later counts as route `other`.
    pub max_series: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { add_traceparent: true, sample_new_traces: false, max_series: 500 }
    }
}

/// The filter.
pub struct Telemetry {
    settings: Settings,
    identities: Identities,
    series: SeriesTable,
}

#[filter]
impl Filter for Telemetry {
    type Configuration = Settings;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        if settings.max_series == 0 {
            return Err(ConfigurationError::at("maxSeries", "must be at least 1"));
        }
        let series = SeriesTable::new(settings.max_series);
        Ok(Telemetry { settings, identities: Identities::default(), series })
    }

    /// Telemetry never fails a request: what the host refuses is left out.
    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        let trace = trace::read(request.headers());
        let context = match trace {
            Some(context) => context,
            None => self.identities.begin_trace(request.headers(), self.settings.sample_new_traces),
        };
        let _ = property::set(TRACE_ID, context.trace_id.as_bytes());
        if self.settings.add_traceparent && !context.is_in_traceparent() {
            let parent = context.parent.unwrap_or_else(|| self.identities.next_span());
            let traceparent = context.traceparent(&parent);
            let _ = request.headers_mut().set("traceparent", traceparent);
        }
        Ok(Flow::Continue)
    }

    fn log(&self, _: &Record, _: &mut ()) -> Result<(), Error> {
        let route = property::XDS_ROUTE_NAME.read().or_else(|| property::ROUTE_NAME.read());
        let class = StatusClass::of(property::RESPONSE_CODE.read());
        let series = self.series.find(route.as_deref().unwrap_or_default(), class);
        series.count();
        if let Some(duration) = property::REQUEST_DURATION.read() {
            series.observe(duration);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
