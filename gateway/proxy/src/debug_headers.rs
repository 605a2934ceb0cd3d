//! `--debug-headers`: what served a request, said in its response.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::flight::Flight;

const GENERATION: HeaderName = HeaderName::from_static("x-portcullis-generation");
const ROUTE: HeaderName = HeaderName::from_static("x-portcullis-route");
const CLUSTER: HeaderName = HeaderName::from_static("x-portcullis-cluster");
const UPSTREAM: HeaderName = HeaderName::from_static("x-portcullis-upstream");

/// Adds the generation always, the rest where it was chosen.
pub(crate) fn add_debug_headers(flight: &Flight, headers: &mut HeaderMap) {
    if let Some(snapshot) = &flight.snapshot {
        headers.insert(GENERATION, snapshot.generation_value.clone());
    }
    let Some(table) = &flight.table else { return };
    let Some(rule) = flight.choice.rule(table) else { return };
    headers.insert(ROUTE, shown(&rule.rule.id));
    let Some(destination) = flight.destination.and_then(|index| rule.destinations.get(index))
    else {
        return;
    };
    headers.insert(CLUSTER, shown(&destination.label));
    let upstream = flight.exchange.upstream.as_ref();
    if let Some(value) = upstream.and_then(|u| HeaderValue::from_str(&u.address.to_string()).ok()) {
        headers.insert(UPSTREAM, value);
    }
}

/// Made when it is asked for: few gateways show it, and it would take memory for every rule. Names come from Kubernetes
/// and are ASCII, anything else shows as `?`.
fn shown(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or_else(|_| HeaderValue::from_static("?"))
}
