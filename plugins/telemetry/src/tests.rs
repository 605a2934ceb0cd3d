//! The filter against the mock host.

use std::time::Duration;

use portcullis_sdk::mock::{Host, Plugin};

use super::Telemetry;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn start(settings: &str) -> Plugin<Telemetry> {
    Host::new().set_now(Duration::from_secs(1_700_000_000));
    Plugin::start(settings).unwrap()
}

/// The trace id in the log and the request's `traceparent`.
fn trace(plugin: &Plugin<Telemetry>, headers: &[(&str, &str)]) -> (String, String) {
    let exchange = plugin.request(headers.iter().copied()).send();
    assert!(exchange.outcome().is_continued());
    let traceparent = exchange.request_header("traceparent");
    assert!(traceparent.len() <= 1);
    (Host.property("trace_id").unwrap(), traceparent.concat())
}

fn log(plugin: &Plugin<Telemetry>, route: &str, status: i64, duration: Duration) {
    Host.set_property("xds.route_name", route);
    Host.set_property("response.code", status.to_le_bytes());
    Host.set_property("request.duration", (duration.as_nanos() as i64).to_le_bytes());
    assert!(plugin.request([]).send().finish().is_continued());
}

#[test]
fn a_traceparent_is_kept() {
    let plugin = start("");
    let sent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let b3 = "11111111111111111111111111111111-2222222222222222-1";
    assert_eq!(trace(&plugin, &[("traceparent", &sent), ("b3", b3)]), (TRACE.into(), sent));
}

#[test]
fn other_headers_give_their_trace_on() {
    let plugin = start("");
    let parent = "00f067aa0ba902b7";
    let b3 = format!("{TRACE}-{parent}-1");
    let expected = (TRACE.to_owned(), format!("00-{TRACE}-{parent}-01"));
    assert_eq!(trace(&plugin, &[("b3", &b3)]), expected);
    let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", parent), ("x-b3-sampled", "1")];
    assert_eq!(trace(&plugin, &several), expected);
    let amazon = [(
        "x-amzn-trace-id",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    )];
    let (id, traceparent) = trace(&plugin, &amazon);
    assert_eq!(id, "5759e988bd862e3fe1be46a994272793");
    assert_eq!(traceparent, format!("00-{id}-53995c3f42cd8ad8-01"));
}

#[test]
fn a_malformed_traceparent_is_replaced() {
    let plugin = start("");
    let (id, traceparent) =
        trace(&plugin, &[("traceparent", "00-x-y-z"), ("traceparent", "nonsense")]);
    assert!(
        traceparent.starts_with(&format!("00-{id}-")) && traceparent.ends_with("-00"),
        "{traceparent}"
    );
}

#[test]
fn a_request_id_gives_the_identity() {
    let plugin = start("");
    let uuid = [("x-request-id", "6f1d3c9a-0b52-4E1e-9a55-3a3c1a4be1f0")];
    assert_eq!(trace(&plugin, &uuid).0, "6f1d3c9a0b524e1e9a553a3c1a4be1f0");
    let (first, _) = trace(&plugin, &[("x-request-id", "order 66")]);
    let (again, _) = trace(&plugin, &[("x-request-id", "order 66")]);
    let (other, _) = trace(&plugin, &[("x-request-id", "order 67")]);
    assert!(first == again && first != other);
}

#[test]
fn requests_without_anything_get_distinct_traces() {
    let plugin = start(r#"{"sampleNewTraces": true}"#);
    let (first, traceparent) = trace(&plugin, &[]);
    let (second, _) = trace(&plugin, &[]);
    assert_ne!(first, second);
    assert!(
        traceparent.starts_with(&format!("00-{first}-")) && traceparent.ends_with("-01"),
        "{traceparent}"
    );
}

#[test]
fn the_header_can_be_left_alone() {
    let plugin = start(r#"{"addTraceparent": false}"#);
    let (id, traceparent) = trace(&plugin, &[]);
    assert_eq!((id.len(), traceparent.as_str()), (32, ""));
}

#[test]
fn requests_are_counted_by_route_and_class() {
    let plugin = start("");
    log(&plugin, "shop.cart/v1", 200, Duration::from_millis(12));
    log(&plugin, "shop.cart/v1", 204, Duration::from_micros(700));
    log(&plugin, "shop.cart/v1", 503, Duration::from_secs(2));
    log(&plugin, "", 404, Duration::ZERO);
    log(&plugin, "", 0, Duration::ZERO);
    let metrics = Host.metrics();
    assert_eq!(metrics.read("telemetry.requests.shop_cart_v1.2xx"), Some(2));
    assert_eq!(metrics.observed("telemetry.request_duration_ms.shop_cart_v1.2xx"), [12, 0]);
    assert_eq!(metrics.observed("telemetry.request_duration_ms.shop_cart_v1.5xx"), [2000]);
    assert_eq!(metrics.read("telemetry.requests.no_route.4xx"), Some(1));
    assert_eq!(metrics.read("telemetry.requests.no_route.none"), Some(1));
}

#[test]
fn series_stay_bounded() {
    let plugin = start(r#"{"maxSeries": 3}"#);
    for number in 0..50 {
        log(&plugin, &format!("route-{number}"), 200, Duration::ZERO);
        log(&plugin, "route-1", 200, Duration::ZERO);
        log(&plugin, "route-1", 500, Duration::ZERO);
    }
    let metrics = Host.metrics();
    assert_eq!(metrics.read("telemetry.requests.route-1.2xx"), Some(51));
    assert_eq!(metrics.read("telemetry.requests.other.2xx"), Some(48));
    assert_eq!(metrics.names().len(), 2 * 4);
}

#[test]
fn a_log_without_properties_still_counts() {
    let plugin = start("");
    assert!(plugin.request([]).send().finish().is_continued());
    assert_eq!(Host.metrics().read("telemetry.requests.no_route.none"), Some(1));
}

#[test]
fn a_mistyped_field_is_refused() {
    Host::new();
    let refused = |settings: &str| Plugin::<Telemetry>::start(settings).err().unwrap();
    assert!(refused(r#"{"maxSerie": 1}"#).starts_with("pluginConfig.maxSerie: unknown field"));
    assert!(refused(r#"{"maxSeries": 0}"#).starts_with("pluginConfig.maxSeries: must be"));
}
