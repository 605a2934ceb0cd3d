//! How the endpoints of a cluster share its requests, as DestinationRules ask for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, Upstream, within};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

/// What serves `blue.example`: upstreams, each with further fields of its endpoint.
struct Backends(Vec<(Upstream, &'static str)>);

impl Backends {
    fn start(fields: &[&'static str]) -> Self {
        let named = fields.iter().enumerate();
        Backends(
            named.map(|(nth, fields)| (Upstream::start(&format!("u{nth}")), *fields)).collect(),
        )
    }

    fn manifests(&self, policy: &str) -> String {
        let endpoint = |(upstream, fields): &(Upstream, &str)| {
            let port = upstream.address().port();
            format!("  - {{address: 127.0.0.1, ports: {{http: {port}}}, {fields}}}\n")
        };
        let endpoints: String = self.0.iter().map(endpoint).collect();
        join(&[
            shop::manifests(TO_BLUE),
            format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: blue}}\nspec:\n  \
                 hosts: [blue.example]\n  ports:\n  - {{number: 80, name: http, protocol: HTTP}}\n  \
                 location: MESH_INTERNAL\n  resolution: STATIC\n  endpoints:\n{endpoints}"
            ),
            destination_rule(policy),
        ])
    }

    async fn open(&self, policy: &str, arguments: &[&str]) -> (Gateway, Client) {
        let gateway = Gateway::start_with(&self.manifests(policy), arguments).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        (gateway, client)
    }
}

/// A rule for `blue.example`, its traffic policy in flow style.
pub fn destination_rule(policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
         spec: {{host: blue.example, trafficPolicy: {{{policy}}}}}\n"
    )
}

/// How many of so many requests each upstream answers.
async fn counts(client: &mut Client, requests: usize, path: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let reply = client.get(HOST, path).await;
        assert_eq!(reply.status, 200);
        *counts.entry(reply.upstream().to_owned()).or_default() += 1;
    }
    counts
}

/// The endpoint of `/clusters` with this address.
pub async fn endpoint(gateway: &Gateway, address: SocketAddr) -> Value {
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let clusters = admin.get("localhost", "/clusters").await.json();
    let clusters = clusters["clusters"].as_array().unwrap();
    let mut endpoints =
        clusters.iter().flat_map(|cluster| cluster["endpoints"].as_array().unwrap());
    endpoints.find(|endpoint| endpoint["address"] == address.to_string()).unwrap().clone()
}

#[tokio::test]
async fn round_robin_takes_turns_by_weight() {
    let backends = Backends::start(&["weight: 1", "weight: 2"]);
    let (_gateway, mut client) = backends.open("loadBalancer: {simple: ROUND_ROBIN}", &[]).await;
    let counts = counts(&mut client, 30, "/").await;
    assert_eq!((counts["u0"], counts["u1"]), (10, 20));
}

#[tokio::test]
async fn random_and_passthrough_reach_every_endpoint() {
    for policy in ["RANDOM", "PASSTHROUGH", "LEAST_REQUEST"] {
        let backends = Backends::start(&["", ""]);
        let policy = format!("loadBalancer: {{simple: {policy}}}");
        let (_gateway, mut client) = backends.open(&policy, &[]).await;
        assert_eq!(counts(&mut client, 60, "/").await.len(), 2, "{policy}");
    }
}

#[tokio::test]
async fn a_header_keeps_its_requests_at_one_endpoint() {
    for ring in ["maglev: {tableSize: 65537}", "ringHash: {minimumRingSize: 1024}"] {
        let backends = Backends::start(&["", "", "", ""]);
        let policy =
            format!("loadBalancer: {{consistentHash: {{httpHeaderName: x-user, {ring}}}}}");
        let (_gateway, mut client) = backends.open(&policy, &[]).await;
        let mut used = BTreeMap::new();
        for user in 0..40 {
            for _ in 0..3 {
                let call = Call::get(HOST, "/").header("x-user", &user.to_string());
                let upstream = client.call(call).await.upstream().to_owned();
                assert_eq!(used.entry(user).or_insert_with(|| upstream.clone()), &upstream);
            }
        }
        let different: std::collections::BTreeSet<_> = used.values().collect();
        assert!(different.len() > 1, "{used:?}");
    }
}

#[tokio::test]
async fn a_query_parameter_keeps_its_requests_at_one_endpoint() {
    let backends = Backends::start(&["", "", "", ""]);
    let policy = "loadBalancer: {consistentHash: {httpQueryParameterName: user}}";
    let (_gateway, mut client) = backends.open(policy, &[]).await;
    for user in 0..10 {
        assert_eq!(counts(&mut client, 5, &format!("/?x=1&user={user}")).await.len(), 1);
    }
    assert!(counts(&mut client, 60, "/").await.len() > 1);
}

#[tokio::test]
async fn a_client_address_keeps_its_requests_at_one_endpoint() {
    let backends = Backends::start(&["", "", "", ""]);
    let policy = "loadBalancer: {consistentHash: {useSourceIp: true}}";
    let arguments = ["--trusted-cidr", "127.0.0.0/8"];
    let (_gateway, mut client) = backends.open(policy, &arguments).await;
    assert_eq!(counts(&mut client, 20, "/").await.len(), 1);
    let mut used = std::collections::BTreeSet::new();
    for last in 1..40 {
        let call = Call::get(HOST, "/").header("x-forwarded-for", &format!("192.0.2.{last}"));
        used.insert(client.call(call).await.upstream().to_owned());
    }
    assert!(used.len() > 1, "{used:?}");
}

#[tokio::test]
async fn a_cookie_is_made_once_and_keeps_its_client_at_one_endpoint() {
    let backends = Backends::start(&["", "", "", ""]);
    let policy = "loadBalancer: {consistentHash: {httpCookie: {name: aff, path: /, ttl: 60s}}}";
    let (_gateway, mut client) = backends.open(policy, &[]).await;
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let first = client.get(HOST, "/").await;
        let cookie = first.header("set-cookie").to_owned();
        assert!(
            cookie.starts_with("aff=\"") && cookie.ends_with("; Max-Age=60; Path=/; HttpOnly"),
            "{cookie}"
        );
        let value = cookie.split(';').next().unwrap();
        for _ in 0..3 {
            let again = client.call(Call::get(HOST, "/").header("cookie", value)).await;
            assert_eq!(again.upstream(), first.upstream());
            assert!(again.headers.get("set-cookie").is_none());
        }
        used.insert(first.upstream().to_owned());
    }
    assert!(used.len() > 1, "{used:?}");
}

#[tokio::test]
async fn the_nearest_locality_serves_and_a_farther_one_where_it_fails() {
    let localities = ["locality: eu/a", "locality: eu/b", "locality: us/a"];
    let backends = Backends::start(&localities);
    let policy = "outlierDetection: {consecutive5xxErrors: 1, interval: 1h, baseEjectionTime: 1h, maxEjectionPercent: 100}";
    let (gateway, mut client) = backends.open(policy, &["--locality", "eu/a"]).await;
    assert_eq!(counts(&mut client, 20, "/").await["u0"], 20);
    let address = |nth: usize| backends.0[nth].0.address();
    assert_eq!(endpoint(&gateway, address(2)).await["state"], "standby");
    assert_eq!(client.get(HOST, "/status/500").await.status, 500);
    assert_eq!(counts(&mut client, 20, "/").await["u1"], 20);
    let ejected = endpoint(&gateway, address(0)).await;
    assert_eq!((&ejected["state"], &ejected["locality"]), (&"ejected".into(), &"eu/a".into()));
    assert!(ejected["reason"].as_str().unwrap().starts_with("consecutive_5xx"), "{ejected}");
}

#[tokio::test]
async fn whoever_shares_more_labels_is_nearer() {
    let backends =
        Backends::start(&["labels: {rack: r1}", "labels: {rack: r7}", "labels: {tier: r7}"]);
    let policy = "loadBalancer: {localityLbSetting: {enabled: true, failoverPriority: [rack]}}, \
                  outlierDetection: {consecutive5xxErrors: 1, interval: 1h, baseEjectionTime: 1h, \
                  maxEjectionPercent: 100}";
    let (_gateway, mut client) = backends.open(policy, &["--label", "rack=r7"]).await;
    assert_eq!(counts(&mut client, 20, "/").await["u1"], 20);
    assert_eq!(client.get(HOST, "/status/500").await.status, 500);
    assert_eq!(counts(&mut client, 40, "/").await.len(), 2, "the others, where the nearer fails");
}

#[tokio::test]
async fn shares_by_locality_are_kept() {
    let backends = Backends::start(&["locality: eu/a", "locality: eu/b", "locality: us/a"]);
    let policy = "loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: true, distribute: \
                  [{from: \"eu/a/*\", to: {\"eu/a/*\": 90, \"eu/b/*\": 10}}]}}";
    let (_gateway, mut client) = backends.open(policy, &["--locality", "eu/a/1"]).await;
    let counts = counts(&mut client, 400, "/").await;
    assert!((310..400).contains(&counts["u0"]) && !counts.contains_key("u2"), "{counts:?}");
}

#[tokio::test]
async fn a_new_endpoint_comes_to_its_share_slowly() {
    let mut backends = Backends::start(&[""]);
    let policy = "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1h, minimumPercent: 5}}";
    let mut gateway = Gateway::start(&backends.manifests(policy)).await;
    backends.0.push((Upstream::start("u1"), ""));
    gateway.apply(&backends.manifests(policy)).await;
    assert_eq!(endpoint(&gateway, backends.0[1].0.address()).await["state"], "warming");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_503_uo() {
    let backends = Backends::start(&[""]);
    let policy = "connectionPool: {http: {http2MaxRequests: 1}}";
    let (mut gateway, mut client) = backends.open(policy, &[]).await;
    let mut other = Client::http1(gateway.address("http")).await.unwrap();
    let upstream = &backends.0[0].0;
    let slow = tokio::spawn(async move { client.get(HOST, "/slow").await.status });
    upstream.until(|seen| seen.held == 1).await;
    let refused = other.get(HOST, "/refused").await;
    assert_eq!((refused.status.as_u16(), refused.header("x-envoy-overloaded")), (503, "true"));
    let line = gateway.access_line_with("/refused").await;
    assert!(line.contains(" 503 UO upstream_overflow"), "{line}");
    upstream.release();
    assert_eq!(slow.await.unwrap(), 200);
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let metrics = admin.get("localhost", "/stats/prometheus").await.text().to_owned();
    let wanted = "portcullis_upstream_overflows_total{limit=\"requests\",cluster=\"outbound|80||blue.example\"} 1";
    assert!(metrics.lines().any(|line| line == wanted), "{metrics}");
    // Its client may have the reply a moment before the place is free.
    let begun = Instant::now();
    while other.get(HOST, "/").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the place is never free");
    }
}

#[tokio::test]
async fn a_limit_that_a_reload_brings_counts_what_is_under_way() {
    let backends = Backends::start(&[""]);
    let (mut gateway, mut client) = backends.open("", &["--workers", "2"]).await;
    let upstream = &backends.0[0].0;
    let slow = tokio::spawn(async move { client.get(HOST, "/slow").await.status });
    upstream.until(|seen| seen.held == 1).await;
    gateway.apply(&backends.manifests("connectionPool: {http: {http2MaxRequests: 1}}")).await;
    let mut other = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(other.get(HOST, "/refused").await.status, 503);
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let shown = admin.get("localhost", "/clusters").await.json();
    let blue = shown["clusters"].as_array().unwrap().iter();
    let mut limits = blue.filter_map(|cluster| cluster["limits"].as_array()?.first());
    assert_eq!(limits.next().unwrap()["now"], 1, "{shown}");
    upstream.release();
    assert_eq!(slow.await.unwrap(), 200);
    // Its client may have the reply a moment before the place is free.
    within("a free place", async { while other.get(HOST, "/").await.status != 200 {} }).await;
}

/// Of the manifests alone, `explain` tells who would serve.
#[tokio::test]
async fn the_manifests_tell_who_serves() {
    let backends = Backends::start(&["locality: eu/a", "locality: us/a", "locality: us/b"]);
    let policy = "outlierDetection: {consecutive5xxErrors: 5}";
    let gateway = Gateway::start(&backends.manifests(policy)).await;
    let explained = tokio::process::Command::new(crate::gateway::binary())
        .args(["explain", "--output", "json", "--locality", "us/a", "--config"])
        .arg(gateway.config())
        .arg(format!("http://{HOST}/"))
        .output()
        .await
        .unwrap();
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let states = explained["clusters"][0]["endpoints"].as_array().unwrap();
    let states: Vec<_> = states.iter().map(|each| each["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["standby", "healthy", "standby"], "{explained}");
}

#[tokio::test]
async fn an_entry_written_twice_counts_twice() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    let endpoints = [one.address(), two.address(), two.address()];
    let manifests = join(&[
        shop::manifests(TO_BLUE),
        service_entry("blue", "blue.example", 80, &endpoints),
        destination_rule("loadBalancer: {simple: ROUND_ROBIN}"),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let counts = counts(&mut client, 30, "/").await;
    assert_eq!((counts["one"], counts["two"]), (10, 20));
}
