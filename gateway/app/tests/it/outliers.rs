//! Endpoints that fail are taken out for a while, whatever worker found out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, Refusing, Upstream};

use crate::balancing::{destination_rule, endpoint};
use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

async fn in_front_of(endpoints: &[SocketAddr], policy: &str) -> (Gateway, Client) {
    let entry = service_entry("blue", "blue.example", 80, endpoints);
    let manifests = join(&[shop::manifests(TO_BLUE), entry, destination_rule(policy)]);
    let gateway = Gateway::start_with(&manifests, &["--workers", "2"]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

/// Asks until an endpoint is in this state.
async fn until_state(gateway: &Gateway, address: SocketAddr, state: &str) {
    let begun = Instant::now();
    while endpoint(gateway, address).await["state"] != state {
        assert!(begun.elapsed() < Duration::from_secs(20), "never {state}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn of_three_the_one_that_refuses_costs_no_request_and_is_out() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let refusing = Refusing::open();
    let endpoints = [blue.address(), refusing.address, green.address()];
    let (mut gateway, mut client) = in_front_of(&endpoints, "").await;
    for _ in 0..30 {
        assert_eq!(client.call(Call::post(HOST, "/", "hello")).await.json()["body"], "hello");
    }
    let line = gateway.wait_for_log("endpoint ejected").await;
    assert!(
        line.contains("no_connection") && line.contains(&refusing.address.to_string()),
        "{line}"
    );
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let metrics = admin.get("localhost", "/stats/prometheus").await.text().to_owned();
    assert!(metrics.contains("portcullis_upstream_ejections_total{reason=\"no_connection\""));
}

#[tokio::test]
async fn an_endpoint_that_listens_again_is_back() {
    let (blue, refusing) = (Upstream::start("blue"), Refusing::open());
    let address = refusing.address;
    let (gateway, mut client) = in_front_of(&[blue.address(), address], "").await;
    for _ in 0..20 {
        assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    }
    drop(refusing);
    let green = Upstream::start_on("green", address);
    until_state(&gateway, address, "healthy").await;
    for _ in 0..200 {
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    assert!(green.seen().requests > 0);
}

#[tokio::test]
async fn errors_in_a_row_take_an_endpoint_out_and_no_more_than_may_be() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let policy = "loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 2, \
                  interval: 1h, baseEjectionTime: 1h, maxEjectionPercent: 10}";
    let (gateway, mut client) = in_front_of(&[blue.address(), green.address()], policy).await;
    for _ in 0..3 {
        client.get(HOST, "/status/500").await;
    }
    // The third was the second of one of them; the other one's second may not take it out too.
    let left = client.get(HOST, "/status/500").await.upstream().to_owned();
    for _ in 0..5 {
        assert_eq!(client.get(HOST, "/status/500").await.upstream(), left);
    }
    let out = if left == "blue" { green.address() } else { blue.address() };
    let out = endpoint(&gateway, out).await;
    assert_eq!((&out["state"], &out["failed"]), (&"ejected".into(), &2.into()), "{out}");
}

#[tokio::test]
async fn an_ejected_endpoint_comes_back_after_its_time() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let policy = "outlierDetection: {consecutiveGatewayErrors: 1, interval: 100ms, \
                  baseEjectionTime: 200ms}";
    let (mut gateway, mut client) = in_front_of(&[blue.address(), green.address()], policy).await;
    let out = client.call(Call::post(HOST, "/status/503", "")).await.upstream().to_owned();
    gateway.wait_for_log("consecutive_gateway_errors").await;
    gateway.wait_for_log("back in rotation").await;
    let address = if out == "blue" { blue.address() } else { green.address() };
    until_state(&gateway, address, "healthy").await;
}

#[tokio::test]
async fn where_all_are_out_the_answer_is_503_uh() {
    let blue = Upstream::start("blue");
    let policy = "outlierDetection: {consecutive5xxErrors: 1, interval: 1h, baseEjectionTime: 1h}";
    let (mut gateway, mut client) = in_front_of(&[blue.address()], policy).await;
    assert_eq!(client.get(HOST, "/status/500").await.status, 500);
    assert_eq!(client.get(HOST, "/later").await.status, 503);
    let line = gateway.access_line_with("/later").await;
    assert!(line.contains(" 503 UH no_healthy_upstream"), "{line}");
}

#[tokio::test]
async fn with_a_panic_threshold_the_ejected_serve_on() {
    let blue = Upstream::start("blue");
    let policy = "outlierDetection: {consecutive5xxErrors: 1, interval: 1h, baseEjectionTime: 1h, \
                  minHealthPercent: 50}";
    let (mut gateway, mut client) = in_front_of(&[blue.address()], policy).await;
    assert_eq!(client.get(HOST, "/status/500").await.status, 500);
    gateway.wait_for_log("endpoint ejected").await;
    until_state(&gateway, blue.address(), "ejected").await;
    let begun = Instant::now();
    while client.get(HOST, "/").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
