//! gRPC: trailers arrive, and the gateway's own replies are ones that a gRPC client understands.

use portcullis_testkit::manifests::{
    http_gateway, join, route_to, service_entry, virtual_service, wasm_plugin,
};
use portcullis_testkit::{Call, Client, RawUpstream, Reply};

use crate::gateway::Gateway;
use crate::guests::guest;
use crate::metrics::metrics;
use crate::shop::{HOST, Shop, TO_BLUE};

fn call(path: &str) -> Call {
    Call::post(HOST, path, "\0\0\0\0\0")
        .header("content-type", "application/grpc+proto")
        .accept_trailers()
}

async fn h2c(gateway: &Gateway) -> Client {
    Client::h2c(gateway.address("http")).await.unwrap()
}

/// What a gRPC client is told by a reply that is a head alone.
fn told(reply: &Reply) -> (u16, &str, &str) {
    assert_eq!(reply.header("content-type"), "application/grpc", "{reply:?}");
    assert!(reply.body.is_empty() && reply.trailers.is_none(), "{reply:?}");
    (reply.status.as_u16(), reply.header("grpc-status"), reply.header("grpc-message"))
}

async fn gateway_before(upstream: &RawUpstream, rules: &str) -> Gateway {
    Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], rules),
        service_entry("raw", "raw.example", 80, &[upstream.address]),
    ]))
    .await
}

#[tokio::test]
async fn the_gateways_errors_are_statuses_of_grpc() {
    let rules = "- match: [{uri: {exact: /blue}}]\n  route:\n  - destination: {host: blue.example}\n\
                 - match: [{uri: {exact: /nowhere}}]\n  route:\n  - destination: {host: nowhere.example}\n\
                 - match: [{uri: {exact: /said}}]\n  directResponse: {status: 403, body: {string: 100% no}}\n\
                 - match: [{uri: {exact: /moved}}]\n  redirect: {uri: /elsewhere}\n";
    let mut shop = Shop::open(rules).await;
    let mut client = h2c(&shop.gateway).await;
    for (path, expected, logged) in [
        ("/none", (200, "12", ""), " 200 NR route_not_found "),
        ("/nowhere", (200, "14", ""), " 200 NC cluster_not_found "),
        ("/a%2fb", (200, "13", "Bad Request"), " 200 DPE path_escape_refused "),
        ("/said", (200, "7", "100%25 no"), " 200 - direct_response "),
        ("/moved", (200, "2", ""), " 200 - direct_response "),
    ] {
        let reply = client.call(call(path)).await;
        assert_eq!(told(&reply), expected, "{path}");
        let line = shop.gateway.access_line().await;
        assert!(line.contains(logged), "{line}");
    }
    shop.blue.disconnect().await;
    shop.blue.stop();
    let reply = client.call(call("/blue")).await;
    assert_eq!(told(&reply).1, "14", "{reply:?}");
    let line = shop.gateway.access_line().await;
    assert!(
        line.contains(" 200 UF upstream_reset_before_response_started{connection_failure} "),
        "{line}"
    );
    let metrics = metrics(&shop.gateway).await;
    let counted = |status: &str| {
        let label = format!("grpc_response_status=\"{status}\"");
        metrics.lines().any(|line| {
            line.starts_with("istio_requests_total{")
                && line.contains(&label)
                && line.contains("request_protocol=\"grpc\"")
        })
    };
    assert!(counted("12") && counted("14") && counted("7"), "{}", metrics);
}

#[tokio::test]
async fn others_get_errors_as_ever() {
    let shop = Shop::open("- match: [{uri: {exact: /}}]\n  directResponse: {status: 403}\n").await;
    let mut h2 = h2c(&shop.gateway).await;
    for kind in ["application/grpc-web", "application/json", "application/grpcx"] {
        let reply = h2.call(Call::post(HOST, "/none", "x").header("content-type", kind)).await;
        assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (404, ""), "{kind}");
    }
}

#[tokio::test]
async fn a_plugins_reply_is_one_too() {
    let plugin = wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let upstream = RawUpstream::start("").await;
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], &route_to("raw.example", 80)),
        service_entry("raw", "raw.example", 80, &[upstream.address]),
        plugin,
    ]))
    .await;
    let mut client = h2c(&gateway).await;
    let denied = client.call(call("/guest/denied")).await;
    assert_eq!(told(&denied), (200, "7", "denied by guest"));
    let teapot = client.call(call("/guest/teapot")).await;
    assert_eq!((told(&teapot), teapot.header("x-teapot")), ((200, "2", ""), "yes"));
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n\
                      5\r\n\0\0\0\0\0\r\n";

#[tokio::test]
async fn trailers_of_an_http1_upstream_arrive() {
    let trailers =
        "0\r\ngrpc-status: 5\r\ngrpc-message: not%20there\r\nhost: evil\r\nset-cookie: a=b\r\n\r\n";
    let mut upstream = RawUpstream::start(format!("{ANSWER}{trailers}")).await;
    let mut gateway = gateway_before(&upstream, &route_to("raw.example", 80)).await;
    let mut h2 = h2c(&gateway).await;
    let mut h1 = Client::http1(gateway.address("http")).await.unwrap();
    for client in [&mut h2, &mut h1] {
        let reply = client.call(call("/shop.Catalog/Find")).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 5));
        let trailers = reply.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "5");
        assert_eq!(trailers["grpc-message"], "not%20there");
        assert_eq!(trailers.len(), 2, "{trailers:?}");
        let head = upstream.next_head().await;
        assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
        let line = gateway.access_line().await;
        assert!(line.contains(" 200 - via_upstream "), "{line}");
    }
    let metrics = metrics(&gateway).await;
    assert!(metrics.contains("grpc_response_status=\"5\""), "{metrics}");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_resets_the_stream() {
    let upstream = RawUpstream::start(ANSWER).await;
    let mut gateway = gateway_before(&upstream, &route_to("raw.example", 80)).await;
    let mut client = h2c(&gateway).await;
    let broken = client.try_call(call("/shop.Catalog/Find")).await;
    assert!(broken.is_err(), "{broken:?}");
    let line = gateway.access_line().await;
    assert!(line.contains(" 200 UC upstream_reset_after_response_started "), "{line}");
    let mut blue = Shop::open(TO_BLUE).await;
    assert_eq!(blue.get("/").await.status, 200);
}

#[tokio::test]
async fn both_sides_stream_at_once() {
    let shop = Shop::open(TO_BLUE).await;
    let mut client = h2c(&shop.gateway).await;
    let reply = client.call(call("/echo").trailer("x-sum", "1")).await;
    let echo = reply.json();
    assert_eq!(
        (&echo["trailers"]["x-sum"], &echo["headers"]["te"]),
        (&"1".into(), &"trailers".into())
    );
    assert_eq!(echo["headers"]["content-type"], "application/grpc+proto");
}
