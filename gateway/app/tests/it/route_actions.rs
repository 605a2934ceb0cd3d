//! What a rule does with a request: rewrites, redirects, replies, header operations, timeouts.

use portcullis_testkit::Call;

use crate::shop::{HOST, Shop, TO_BLUE};

#[tokio::test]
async fn a_matched_prefix_is_rewritten_and_the_query_kept() {
    let rules = "- match:\n  - uri: {prefix: /api/}\n  rewrite: {uri: /}\n  route:\n  - destination: {host: blue.example}\n\
         - match:\n  - uri: {exact: /old}\n  rewrite: {uri: /new}\n  route:\n  - destination: {host: blue.example}\n";
    let mut shop = Shop::open(rules).await;
    assert_eq!(shop.get("/api/orders/7?x=1").await.json()["path"], "/orders/7?x=1");
    assert_eq!(shop.get("/old?x=1").await.json()["path"], "/new?x=1");
    let line = shop.gateway.access_line().await;
    assert!(
        line.contains("\"GET /api/orders/7?x=1 HTTP/1.1\""),
        "the log shows what was asked: {line}"
    );
}

#[tokio::test]
async fn the_authority_is_rewritten() {
    let rules =
        "- rewrite: {authority: inner.example}\n  route:\n  - destination: {host: blue.example}\n";
    let mut shop = Shop::open(rules).await;
    assert_eq!(shop.get("/").await.json()["headers"]["host"], "inner.example");
    let rules = "- headers: {request: {set: {Host: set.example}}}\n  route:\n  - destination: {host: blue.example}\n";
    shop.apply(rules).await;
    assert_eq!(shop.get("/").await.json()["headers"]["host"], "set.example");
    shop.apply(TO_BLUE).await;
    assert_eq!(shop.get("/").await.json()["headers"]["host"], HOST);
}

#[tokio::test]
async fn redirects_point_where_the_rule_says() {
    let rule = |path: &str, redirect: &str| {
        format!("- match:\n  - uri: {{prefix: {path}}}\n  redirect: {redirect}\n")
    };
    let rules = [
        rule("/prefix", "{prefixRewrite: /moved, redirectCode: 302}"),
        rule("/whole", "{uri: /elsewhere}"),
        rule("/host", "{authority: other.example, scheme: https, redirectCode: 308}"),
        rule("/port", "{port: 8443, scheme: https}"),
    ];
    let mut shop = Shop::open(&rules.concat()).await;
    for (path, status, location) in [
        ("/prefix/a?b", 302, "http://shop.example/moved/a?b"),
        ("/whole/a?b", 301, "http://shop.example/elsewhere?b"),
        ("/host/a?b", 308, "https://other.example/host/a?b"),
        ("/port", 301, "https://shop.example:8443/port"),
    ] {
        let reply = shop.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (status, location), "{path}");
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn a_direct_response_answers_without_an_upstream() {
    let rules = "- match:\n  - uri: {exact: /text}\n  directResponse: {status: 418, body: {string: \"short\"}}\n  \
         headers: {response: {set: {x-kind: pot}}}\n\
         - match:\n  - uri: {exact: /bytes}\n  directResponse: {status: 200, body: {bytes: AAEC}}\n\
         - directResponse: {status: 204}\n";
    let mut shop = Shop::open(rules).await;
    let reply = shop.get("/text").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text(), reply.header("x-kind")),
        (418, "short", "pot")
    );
    assert_eq!(&*shop.get("/bytes").await.body, [0, 1, 2]);
    let reply = shop.get("/").await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0));
    let head = shop.client.call(Call::new("HEAD", HOST, "/text")).await;
    assert_eq!((head.header("content-length"), head.body.len()), ("5", 0));
}

#[tokio::test]
async fn request_headers_are_set_added_and_removed_by_rule_and_destination() {
    let rules = "- headers: {request: {set: {x-set: rule}, add: {x-add: rule}, remove: [x-gone]}}\n  route:\n  \
         - destination: {host: blue.example}\n    \
         headers: {request: {set: {x-set: destination}, add: {x-add: destination}, remove: [x-gone-too]}}\n";
    let mut shop = Shop::open(rules).await;
    let call = Call::get(HOST, "/")
        .header("x-set", "client")
        .header("x-add", "client")
        .header("x-gone", "client")
        .header("x-gone-too", "client")
        .header("x-kept", "client");
    let headers = &shop.client.call(call).await.json()["headers"];
    assert_eq!(headers["x-set"], "destination");
    assert_eq!(headers["x-add"], serde_json::json!(["client", "rule", "destination"]));
    assert!(headers["x-gone"].is_null() && headers["x-gone-too"].is_null(), "{headers}");
    assert_eq!(headers["x-kept"], "client");
}

#[tokio::test]
async fn response_headers_are_set_added_and_removed_by_destination_and_rule() {
    let rules = "- headers: {response: {set: {x-set: rule}, add: {x-add: rule}, remove: [x-gone]}}\n  route:\n  \
         - destination: {host: blue.example}\n    \
         headers: {response: {set: {x-set: destination}, add: {x-add: destination}, remove: [x-gone-too]}}\n";
    let mut shop = Shop::open(rules).await;
    let call = Call::get(HOST, "/")
        .header("x-reply-x-set", "upstream")
        .header("x-reply-x-add", "upstream")
        .header("x-reply-x-gone", "upstream")
        .header("x-reply-x-gone-too", "upstream")
        .header("x-reply-x-kept", "upstream");
    let reply = shop.client.call(call).await;
    assert_eq!((reply.header("x-set"), reply.header("x-kept")), ("destination", "upstream"));
    let added: Vec<_> = reply.headers.get_all("x-add").iter().collect();
    assert_eq!(added, ["upstream", "rule", "destination"]);
    assert!(!reply.headers.contains_key("x-gone") && !reply.headers.contains_key("x-gone-too"));
}

#[tokio::test]
async fn a_timeout_is_504_and_logged_as_ut() {
    let rules = "- timeout: 100ms\n  route:\n  - destination: {host: blue.example}\n";
    let mut shop = Shop::open(rules).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(shop.get("/slow").await.status, 504);
    let line = shop.gateway.access_line_with("/slow").await;
    assert!(line.contains(" 504 UT upstream_response_timeout "), "{line}");
    shop.blue.until(|seen| seen.held == 0).await;
}

#[tokio::test]
async fn the_upstream_learns_of_the_client() {
    let mut shop = Shop::open(TO_BLUE).await;
    let call = Call::get(HOST, "/")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-envoy-decorator-operation", "evil")
        .header("x-portcullis-generation", "evil")
        .header("x-request-id", "mine");
    let headers = &shop.client.call(call).await.json()["headers"];
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    for claim in ["x-forwarded-host", "x-envoy-decorator-operation", "x-portcullis-generation"] {
        assert!(headers[claim].is_null(), "{claim} in {headers}");
    }
    let id = headers["x-request-id"].as_str().unwrap();
    assert_eq!(id.len(), 36, "{id}");
    let line = shop.gateway.access_line().await;
    assert!(line.contains(&format!("\"{id}\"")), "{line}");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let mut shop = Shop::open_with(TO_BLUE, &["--trusted-cidr", "127.0.0.0/8"]).await;
    let call = Call::get(HOST, "/")
        .header("x-forwarded-for", "1.1.1.1")
        .header("x-forwarded-proto", "https")
        .header("x-request-id", "kept")
        .header("x-portcullis-generation", "evil");
    let headers = &shop.client.call(call).await.json()["headers"];
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1,127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-request-id"], "kept");
    assert!(headers["x-portcullis-generation"].is_null());
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_connection() {
    let mut shop = Shop::open(TO_BLUE).await;
    let call = Call::get(HOST, "/")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("x-reply-keep-alive", "timeout=9");
    let reply = shop.client.call(call).await;
    let headers = &reply.json()["headers"];
    for field in ["connection", "x-mine", "keep-alive", "proxy-connection"] {
        assert!(headers[field].is_null(), "{field} in {headers}");
    }
    assert!(!reply.headers.contains_key("keep-alive"));
}
