//! What an operator sees: access log, metrics, health, the admin port, the ready file.

use std::collections::BTreeSet;

use portcullis_testkit::manifests::{gateway, https_server, join, tls_secret};
use portcullis_testkit::{Call, Certificates, Client, Reply};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::metrics::{metrics, sample};
use crate::shop::{HOST, Shop, TO_BLUE};

const SAY: &str = "- directResponse: {status: 200, body: {string: hello}}\n";

/// A GET on a side port.
async fn side(gateway: &Gateway, port: &str, path: &str) -> Reply {
    Client::http1(gateway.side_port(port)).await.unwrap().get("localhost", path).await
}

async fn admin(gateway: &Gateway, path: &str) -> Value {
    let reply = side(gateway, "admin", path).await;
    assert_eq!(reply.status, 200, "{path}");
    reply.json()
}

/// Splits a line at its spaces, what stands in quotes or brackets being one.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(character),
        }
    }
    fields.push(field);
    fields
}

#[tokio::test]
async fn the_text_line_has_the_fields_of_istio_in_their_order() {
    let mut shop = Shop::open(TO_BLUE).await;
    let call = Call::post(HOST, "/a?b=c", "hello").header("user-agent", "tests/1");
    let reply = shop.client.call(call).await;
    let line = shop.gateway.access_line().await;
    let fields = fields(&line);
    let id = reply.json()["headers"]["x-request-id"].as_str().unwrap().to_owned();
    let (sent, upstream) = (reply.body.len().to_string(), shop.blue.address().to_string());
    let expected = [
        "POST /a?b=c HTTP/1.1",
        "200",
        "-",
        "via_upstream",
        "-",
        "-",
        "5",
        &sent,
        "DURATION",
        "SERVICE TIME",
        "127.0.0.1",
        "tests/1",
        &id,
        HOST,
        &upstream,
        "outbound|80||blue.example",
        "LOCAL",
        &shop.gateway.address("http").to_string(),
        "REMOTE",
        "-",
    ];
    assert_eq!(fields.len(), expected.len() + 2, "{line}");
    assert!(fields[0].starts_with("[20") && fields[0].ends_with("Z]"), "{line}");
    for (found, wanted) in fields[1..].iter().zip(expected) {
        match wanted {
            "DURATION" | "SERVICE TIME" => {
                assert!(found.parse::<u64>().is_ok(), "{wanted} in {line}")
            }
            "LOCAL" | "REMOTE" => assert!(found.starts_with("127.0.0.1:"), "{wanted} in {line}"),
            wanted => assert_eq!(found, wanted, "{line}"),
        }
    }
}

#[tokio::test]
async fn the_json_line_has_the_keys_of_istio() {
    let mut shop = Shop::open_with(TO_BLUE, &["--access-log", "json"]).await;
    shop.client.call(Call::get(HOST, "/a").header("user-agent", "a \"quoted\"\tagent")).await;
    let line: Value = serde_json::from_str(&shop.gateway.access_line().await).unwrap();
    let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "start_time method path protocol response_code response_flags response_code_details \
         connection_termination_details upstream_transport_failure_reason bytes_received bytes_sent duration \
         upstream_service_time x_forwarded_for user_agent request_id authority upstream_host upstream_cluster \
         upstream_local_address downstream_local_address downstream_remote_address requested_server_name route_name";
    assert_eq!(keys, expected.split_whitespace().collect());
    assert_eq!((&line["path"], &line["response_code"]), (&"/a".into(), &200.into()));
    assert_eq!(line["user_agent"], "a \"quoted\"\tagent");
}

#[tokio::test]
async fn a_client_cannot_forge_a_line_of_the_log() {
    let format = "%REQ(X-MINE)%|%RESPONSE_CODE%";
    let mut shop = Shop::open_with(SAY, &["--access-log", format]).await;
    for value in ["plain", "tab\there", "caf\u{e9}"] {
        shop.get_with("/", "x-mine", value).await;
        let line = shop.gateway.access_line().await;
        assert!(line.ends_with("|200") && !line.contains('\t'), "{line:?}");
    }
}

#[tokio::test]
async fn the_counts_of_all_workers_add_up() {
    let mut shop = Shop::open_with(TO_BLUE, &["--workers", "4"]).await;
    for _ in 0..40 {
        shop.connect().await.call(Call::post(HOST, "/", "hello")).await;
        shop.gateway.access_line().await;
    }
    let text = metrics(&shop.gateway).await;
    let own = [
        "route=\"VirtualService/default/shop/http[0]\"",
        "cluster=\"outbound|80||blue.example\"",
        "status=\"200\"",
    ];
    assert_eq!(sample(&text, "portcullis_requests_total", &own), 40.0);
    assert_eq!(sample(&text, "portcullis_request_bytes_total", &own), 200.0);
    assert_eq!(sample(&text, "portcullis_request_duration_seconds_count", &own), 40.0);
    let istio = [
        "reporter=\"source\"",
        "destination_service=\"blue.example\"",
        "destination_service_namespace=\"default\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
    ];
    assert_eq!(sample(&text, "istio_requests_total", &istio), 40.0);
    for name in
        ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"]
    {
        assert_eq!(sample(&text, &format!("{name}_count"), &istio), 40.0, "{name}");
    }
    assert_eq!(sample(&text, "istio_request_bytes_sum", &istio), 200.0);
}

#[tokio::test]
async fn the_generation_is_a_metric() {
    let mut shop = Shop::open(SAY).await;
    assert_eq!(shop.apply(TO_BLUE).await, 2);
    let text = metrics(&shop.gateway).await;
    assert_eq!(sample(&text, "portcullis_config_generation", &[]), 2.0);
    let text = side(&shop.gateway, "admin", "/stats").await.text().to_owned();
    assert_eq!(sample(&text, "portcullis_config_generation", &[]), 2.0);
    assert!(!text.contains('#'), "/stats has a line for each metric and nothing else");
}

#[tokio::test]
async fn health_is_told_on_its_port() {
    let shop = Shop::open(SAY).await;
    for port in ["status", "metrics"] {
        let reply = side(&shop.gateway, port, "/healthz/ready").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "LIVE"), "{port}");
    }
    assert_eq!(side(&shop.gateway, "admin", "/ready").await.text(), "LIVE");
    assert_eq!(side(&shop.gateway, "status", "/config_dump").await.status, 404);
}

#[tokio::test]
async fn the_admin_port_tells_what_serves() {
    let mut shop = Shop::open(TO_BLUE).await;
    shop.get("/").await;
    let gateway = &shop.gateway;
    let dump = admin(gateway, "/config_dump").await;
    assert_eq!(dump["generation"], 1);
    let rule = &dump["listeners"][0]["virtual_hosts"][0]["rules"][0];
    assert_eq!(rule["route"], "VirtualService/default/shop/http[0]");
    assert!(rule["source"].as_str().unwrap().contains("all.yaml:"));
    let clusters = admin(gateway, "/clusters").await;
    let names = clusters["clusters"].as_array().unwrap().iter().map(|cluster| &cluster["name"]);
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["outbound|80||blue.example", "outbound|80||green.example"]
    );
    assert_eq!(clusters["clusters"][0]["endpoints"][0]["address"], shop.blue.address().to_string());
    assert_eq!(admin(gateway, "/listeners").await["listeners"], gateway.ready()["listeners"]);
    assert_eq!(admin(gateway, "/generations").await["current"], 1);
    assert_eq!(admin(gateway, "/plugins").await["plugins"], serde_json::json!([]));
    let info = admin(gateway, "/server_info").await;
    assert_eq!((&info["state"], &info["workers"]), (&"LIVE".into(), &2.into()));
    let index = side(gateway, "admin", "/").await;
    for path in
        ["/config_dump", "/clusters", "/listeners", "/generations", "/plugins", "/server_info"]
    {
        assert!(index.text().contains(path), "{path} in {}", index.text());
    }
    assert_eq!(side(gateway, "admin", "/nonsense").await.status, 404);
}

#[tokio::test]
async fn the_admin_port_refuses_foreign_pages() {
    let shop = Shop::open(SAY).await;
    let mut client = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    assert_eq!(client.get("evil.example", "/config_dump").await.status, 403);
    let call = || Call::get("localhost", "/config_dump");
    assert_eq!(client.call(call().header("origin", "https://evil.example")).await.status, 403);
    assert_eq!(client.call(call().header("origin", "null")).await.status, 403);
    let own =
        Call::get("localhost:15000", "/config_dump").header("origin", "http://localhost:15000");
    assert_eq!(client.call(own).await.status, 200);
    assert_eq!(client.get("127.0.0.1:15000", "/config_dump").await.status, 200);
}

#[tokio::test]
async fn the_admin_port_obeys_no_page_of_another_address() {
    let shop = Shop::open(SAY).await;
    let mut client = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    for origin in ["http://203.0.113.5", "http://[2001:db8::1]", "http://127.0.0.1:8080"] {
        let order = Call::post("127.0.0.1:15000", "/drain_listeners", "").header("origin", origin);
        assert_eq!(client.call(order).await.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn the_log_level_is_changed_by_post_alone() {
    let mut shop = Shop::open(SAY).await;
    let mut client = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    assert_eq!(client.get("localhost", "/logging?level=debug").await.status, 405);
    assert_eq!(client.call(Call::post("localhost", "/logging?level=loud", "")).await.status, 400);
    assert_eq!(client.call(Call::post("localhost", "/logging", "")).await.status, 400);
    let reply = client.call(Call::post("localhost", "/logging?level=error", "")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "level: error\n"));
    // Applied without a word, then with its words again.
    let (first, second) = (shop.manifests(TO_BLUE), shop.manifests(SAY));
    shop.gateway.write(&first);
    while shop.get("/").await.upstream() != "blue" {
        tokio::task::yield_now().await;
    }
    client.call(Call::post("localhost", "/logging?level=info", "")).await;
    shop.gateway.write(&second);
    // The line of generation 2 may come just after the level.
    while shop.gateway.wait_for_generation().await < 3 {}
}

#[tokio::test]
async fn no_secret_is_told() {
    let certificates = Certificates::for_hosts(&[HOST]);
    let plugin = portcullis_testkit::manifests::wasm_plugin(
        "jwt",
        "builtin:jwt-auth",
        "pluginConfig:\n  jwtRules:\n  - issuer: https://a.example\n    jwks: {keys: [{kty: oct, alg: HS256, k: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA}]}\n",
    );
    let manifests = join(&[
        gateway("shop", &[https_server("https", 443, &["*"], "shop")]),
        tls_secret("shop", &certificates),
        plugin,
    ]);
    let gateway = Gateway::start(&manifests).await;
    let key = certificates.key_pem.lines().nth(1).unwrap();
    for path in [
        "/config_dump",
        "/listeners",
        "/clusters",
        "/plugins",
        "/generations",
        "/server_info",
        "/stats",
    ] {
        let reply = side(&gateway, "admin", path).await;
        for secret in ["PRIVATE KEY", key, "c2VjcmV0"] {
            assert!(!reply.text().contains(secret), "{secret} in {path}");
        }
    }
    assert!(!gateway.log.iter().any(|line| line.contains(key) || line.contains("c2VjcmV0")));
    assert_eq!(admin(&gateway, "/config_dump").await["listeners"][0]["certificate"], "present");
    let plugins = admin(&gateway, "/plugins").await;
    assert_eq!(plugins["plugins"][0]["plugin"], "WasmPlugin/default/jwt");
    assert_eq!(plugins["plugins"][0]["state"], "running");
}

#[tokio::test]
async fn the_ready_file_names_every_bound_address() {
    let shop = Shop::open_with(SAY, &["--metrics", "off"]).await;
    let ready = shop.gateway.ready();
    assert_eq!(ready["generation"], 1);
    assert!(ready["metrics"].is_null());
    let listener = &ready["listeners"][0];
    for (key, value) in [
        ("gateway", "default/shop"),
        ("server", "http"),
        ("protocol", "HTTP"),
        ("transport", "tcp"),
    ] {
        assert_eq!(listener[key], value);
    }
    assert_eq!(listener["port"], 80, "the port of the resource, not of the socket");
    for port in ["status", "admin"] {
        assert!(Client::http1(shop.gateway.side_port(port)).await.is_ok(), "{port}");
    }
    let info = admin(&shop.gateway, "/server_info").await;
    assert_eq!(info["pid"], ready["pid"]);
}
