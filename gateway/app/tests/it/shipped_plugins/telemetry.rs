//! telemetry: metrics by route and status class, and the identity of traces.

use portcullis_testkit::Client;
use serde_json::{Value, json};

use super::{HOST, Scene, call, refused_at};
use crate::metrics::{find_sample, metrics};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// As in the plugin's manual.
const LOG_TRACE: [&str; 2] = ["--access-log", "%FILTER_STATE(wasm.trace_id:PLAIN)%"];

/// The value of a sample of the plugin's own, 0 where it is not there yet.
async fn sample(scene: &Scene, name: &str) -> u64 {
    let text = metrics(&scene.gateway).await;
    find_sample(&text, name, &["{plugin=\"default/subject\"}"]).map_or(0, |value| value as u64)
}

const ROUTE: &str = "VirtualService_default_shop_http_0_";

#[tokio::test]
async fn requests_are_counted_by_route_and_class_over_all_workers() {
    let mut scene = Scene::start("telemetry", &Value::Null, &[]).await;
    for nth in 0..32 {
        let mut client = Client::http1(scene.gateway.address("http")).await.unwrap();
        let path = if nth % 4 == 0 { "/status/404" } else { "/" };
        client.get(HOST, path).await;
        // The line is written when the plugin has counted.
        scene.gateway.access_line().await;
    }
    assert_eq!(sample(&scene, &format!("telemetry_requests_{ROUTE}_2xx_total")).await, 24);
    assert_eq!(sample(&scene, &format!("telemetry_requests_{ROUTE}_4xx_total")).await, 8);
    let durations = format!("telemetry_request_duration_ms_{ROUTE}_2xx_count");
    assert_eq!(sample(&scene, &durations).await, 24);
}

#[tokio::test]
async fn the_trace_is_in_the_log_and_goes_on_to_the_upstream() {
    let mut scene = Scene::start("telemetry", &Value::Null, &LOG_TRACE).await;
    let sent = scene.get(&[("traceparent", PARENT)]).await.json();
    assert_eq!(scene.gateway.access_line().await, TRACE);
    assert_eq!(sent["headers"]["traceparent"], PARENT);

    let b3 = format!("{TRACE}-00f067aa0ba902b7-1");
    let sent = scene.get(&[("b3", &b3)]).await.json();
    assert_eq!(scene.gateway.access_line().await, TRACE);
    assert_eq!(sent["headers"]["traceparent"], PARENT);
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one() {
    let mut scene = Scene::start("telemetry", &Value::Null, &LOG_TRACE).await;
    for parent in ["", "00-nonsense-01"] {
        let sent = scene.get(&[("traceparent", parent)]).await.json();
        let id = scene.gateway.access_line().await;
        let request_id = sent["headers"]["x-request-id"].as_str().unwrap().replace('-', "");
        assert_eq!(id, request_id, "the trace is found by the request's id");
        let traceparent = sent["headers"]["traceparent"].as_str().unwrap();
        assert!(traceparent.starts_with(&format!("00-{id}-")), "{traceparent}");
        assert!(traceparent.ends_with("-00"), "{traceparent}");
    }
}

#[tokio::test]
async fn settings_change_what_it_does() {
    let settings = json!({"addTraceparent": false, "maxSeries": 1});
    let mut scene = Scene::start("telemetry", &settings, &LOG_TRACE).await;
    for path in ["/", "/status/404", "/status/500"] {
        let reply = scene.client.call(call(path, &[])).await;
        if path == "/" {
            assert_eq!(reply.json()["headers"]["traceparent"], Value::Null);
        }
        assert_eq!(scene.gateway.access_line().await.len(), TRACE.len());
    }
    assert_eq!(sample(&scene, &format!("telemetry_requests_{ROUTE}_2xx_total")).await, 1);
    assert_eq!(sample(&scene, "telemetry_requests_other_4xx_total").await, 1);
    assert_eq!(sample(&scene, "telemetry_requests_other_5xx_total").await, 1);
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_at_its_field() {
    let unknown = json!({"addTraceParent": true});
    refused_at("telemetry", &unknown, "pluginConfig.addTraceParent", "unknown field").await;
    let wrong_type = json!({"maxSeries": "many"});
    refused_at("telemetry", &wrong_type, "pluginConfig.maxSeries", "invalid type").await;
    refused_at("telemetry", &json!({"maxSeries": 0}), "pluginConfig.maxSeries", "at least 1").await;
}
