//! What a rule's native filters do, seen from outside: faults, cross-origin requests, rate limits, error bodies.

use portcullis_testkit::manifests::{edge_policy, join, wasm_plugin};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::json;

use crate::explain::Explainer;
use crate::gateway::{Gateway, directory_with};
use crate::shop::{HOST, Shop, TO_BLUE, backends, manifests};
use crate::small_guests::{callback, small_guest};

/// One rule for a path, with these fields, that sends to `blue`.
fn rule(name: &str, fields: &str) -> String {
    format!(
        "- name: {name}\n  match: [{{uri: {{prefix: /{name}}}}}]\n{fields}  route:\n  - destination: {{host: blue.example}}\n"
    )
}

/// A shop whose rules and policies are these.
async fn shop_with(rules: &str, policies: &[String]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let mut all = vec![manifests(rules), backends(&blue, &green)];
    all.extend_from_slice(policies);
    let gateway = Gateway::start(&join(&all)).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

fn grpc_call(path: &str) -> Call {
    Call::post(HOST, path, "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .accept_trailers()
}

async fn h2c(shop: &Shop) -> Client {
    Client::h2c(shop.gateway.address("http")).await.unwrap()
}

/// Status, and this field of the head.
fn shown<'r>(reply: &'r Reply, name: &str) -> (u16, &'r str) {
    (reply.status.as_u16(), reply.header(name))
}

#[tokio::test]
async fn a_delayed_request_is_served_later_and_says_so() {
    let fault = "  fault: {delay: {percentage: {value: 100}, fixedDelay: 50ms}}\n";
    let mut shop = Shop::open(&rule("late", fault)).await;
    let mut http2 = h2c(&shop).await;
    assert_eq!(shop.get("/late").await.status, 200);
    assert_eq!(http2.get(HOST, "/late").await.status, 200);
    let reply = shop.client.call(Call::post(HOST, "/late", "a body that waits")).await;
    assert_eq!(reply.json()["body"], "a body that waits");
    for _ in 0..3 {
        let line = shop.gateway.access_line().await;
        assert!(line.contains(" 200 DI via_upstream "), "{line}");
    }
}

#[tokio::test]
async fn who_leaves_during_a_delay_reaches_no_upstream() {
    let fault = "  fault: {delay: {percentage: {value: 100}, fixedDelay: 1h}}\n";
    let mut shop = Shop::open(&rule("late", fault)).await;
    let mut client = h2c(&shop).await;
    let mut stream = client.another_stream();
    let waiting = tokio::spawn(async move { stream.try_call(Call::get(HOST, "/late")).await });
    // What comes first on a connection is begun first.
    tokio::task::yield_now().await;
    assert_eq!(client.get(HOST, "/none").await.status, 404);
    waiting.abort();
    let line = shop.gateway.access_line_with("/late").await;
    assert!(line.contains(" 0 DI,DC downstream_remote_disconnect "), "{line}");
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn an_aborted_request_gets_the_status_written_for_it() {
    let rules = [
        rule("http", "  fault: {abort: {percentage: {value: 100}, httpStatus: 418}}\n"),
        rule("grpc", "  fault: {abort: {percentage: {value: 100}, grpcStatus: NOT_FOUND}}\n"),
        rule("never", "  fault: {abort: {percentage: {value: 0}, httpStatus: 418}}\n"),
        rule(
            "both",
            "  fault:\n    delay: {percentage: {value: 100}, fixedDelay: 10ms}\n    abort: {percentage: {value: 100}, httpStatus: 503}\n",
        ),
    ];
    let mut shop = Shop::open(&rules.concat()).await;
    let reply = shop.get_with("/http", "x-envoy-fault-abort-request", "500").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (418, "fault filter abort"));
    let line = shop.gateway.access_line().await;
    assert!(line.contains(" 418 FI fault_filter_abort "), "{line}");
    // A status of gRPC is for those who speak it, as with Envoy.
    assert_eq!(shop.get("/grpc").await.status, 200);
    assert_eq!(shop.get("/both").await.status, 503);
    let line = shop.gateway.access_line_with("/both").await;
    assert!(line.contains(" 503 DI,FI fault_filter_abort "), "{line}");
    let mut client = h2c(&shop).await;
    for (path, status, message) in
        [("/grpc", "5", "fault filter abort"), ("/http", "2", "fault filter abort")]
    {
        let reply = client.call(grpc_call(path)).await;
        assert_eq!(shown(&reply, "grpc-status"), (200, status), "{path}");
        assert_eq!(reply.header("grpc-message"), message);
    }
    assert_eq!(shop.blue.seen().requests, 0);
    assert_eq!(shop.get("/never").await.status, 200);
}

const CORS: &str = "  corsPolicy:
    allowOrigins: [{exact: https://app.example}, {regex: 'https://[a-z]+[.]trusted[.]example'}]
    allowMethods: [GET, PUT]
    allowHeaders: [x-token]
    exposeHeaders: [x-upstream]
    maxAge: 10m
    allowCredentials: true
";

fn preflight(path: &str, origin: &str) -> Call {
    Call::new("OPTIONS", HOST, path)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered() {
    let mut shop = Shop::open(&rule("api", CORS)).await;
    for mut client in [shop.connect().await, h2c(&shop).await] {
        for origin in ["https://app.example", "https://shop.trusted.example"] {
            let reply = client.call(preflight("/api", origin)).await;
            assert_eq!(shown(&reply, "access-control-allow-origin"), (200, origin));
            assert_eq!(reply.header("access-control-allow-methods"), "GET,PUT");
            assert_eq!(reply.header("access-control-allow-headers"), "x-token");
            assert_eq!(reply.header("access-control-max-age"), "600");
            assert_eq!(reply.header("access-control-allow-credentials"), "true");
            assert_eq!(reply.header("vary"), "Origin");
            let line = shop.gateway.access_line().await;
            assert!(line.contains(" 200 - cors_response "), "{line}");
        }
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn a_preflight_of_another_origin_goes_on_or_ends_here() {
    let ignored = format!("{CORS}    unmatchedPreflights: IGNORE\n");
    let rules = [rule("open", CORS), rule("shut", &ignored)].concat();
    let mut shop = Shop::open(&rules).await;
    let origin = "https://app.example.evil";
    let reply = shop.client.call(preflight("/open", origin)).await;
    assert_eq!(reply.header("x-upstream"), "blue", "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), "");
    let reply = shop.client.call(preflight("/shut", origin)).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-upstream")), (200, ""));
    assert_eq!(reply.header("access-control-allow-origin"), "");
    assert_eq!(shop.blue.seen().requests, 1);
}

#[tokio::test]
async fn replies_say_what_their_origin_may_see_whoever_made_them() {
    let broken = rule("broken", CORS).replace("blue.example", "nowhere.example");
    let rules = [rule("api", CORS), broken].concat();
    let shop = Shop::open(&rules).await;
    for mut client in [shop.connect().await, h2c(&shop).await] {
        let asks = |path: &str, origin: &str| Call::get(HOST, path).header("origin", origin);
        let call = asks("/api", "https://app.example")
            .header("x-reply-access-control-allow-origin", "*")
            .header("x-reply-access-control-expose-headers", "x-secret")
            .header("x-reply-vary", "accept");
        let reply = client.call(call).await;
        assert_eq!(shown(&reply, "access-control-allow-origin"), (200, "https://app.example"));
        assert_eq!(reply.headers.get_all("access-control-allow-origin").iter().count(), 1);
        assert_eq!(reply.header("access-control-expose-headers"), "x-upstream");
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["accept", "Origin"]);
        // A script reads the gateway's errors too.
        let reply = client.call(asks("/broken", "https://app.example")).await;
        assert_eq!(shown(&reply, "access-control-allow-origin"), (503, "https://app.example"));
        let reply = client.call(asks("/api", "https://evil.example")).await;
        assert_eq!(shown(&reply, "access-control-allow-origin"), (200, ""));
    }
}

fn limit(name: &str, target: &str, limit: &str) -> String {
    edge_policy(name, &format!("{{targetRefs: [{{{target}}}], rateLimit: {limit}}}"))
}

#[tokio::test]
async fn beyond_its_rate_limit_a_rule_answers_429() {
    let policies = [limit(
        "few",
        "kind: VirtualService, name: shop, sectionName: few",
        "{requests: 2, interval: 1h}",
    )];
    let rules = [rule("few", CORS), rule("many", "")].concat();
    let mut shop = shop_with(&rules, &policies).await;
    let mut http2 = h2c(&shop).await;
    assert_eq!(shop.get("/few").await.status, 200);
    assert_eq!(http2.get(HOST, "/few").await.status, 200);
    let call = Call::get(HOST, "/few").header("origin", "https://app.example");
    let reply = shop.client.call(call).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (429, "local_rate_limited"));
    assert_eq!(reply.header("ratelimit-policy"), "\"limit\";q=2;w=3600");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
    let line = shop.gateway.access_line_with(" 429 ").await;
    assert!(line.contains(" 429 RL local_rate_limited "), "{line}");
    let reply = http2.call(grpc_call("/few")).await;
    assert_eq!(shown(&reply, "grpc-status"), (200, "14"));
    for _ in 0..5 {
        assert_eq!(shop.get("/many").await.status, 200);
    }
}

#[tokio::test]
async fn all_connections_and_workers_draw_on_one_bucket() {
    let policies =
        [limit("few", "kind: VirtualService, name: shop", "{requests: 5, interval: 1h}")];
    let shop = shop_with(TO_BLUE, &policies).await;
    let address = shop.gateway.address("http");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        calls.spawn(async move {
            let mut client = Client::http1(address).await.unwrap();
            client.get(HOST, "/").await.status.as_u16()
        });
    }
    let statuses = calls.join_all().await;
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((served, statuses.len()), (5, 20), "{statuses:?}");
    assert_eq!(shop.blue.seen().requests, 5);
}

#[tokio::test]
async fn a_reload_leaves_an_unchanged_bucket_as_full_as_it_was() {
    let target = "kind: VirtualService, name: shop";
    let with = |shop: &Shop, rules: &str, burst: u32| {
        let spec = format!("{{requests: 1, interval: 1h, burst: {burst}}}");
        join(&[shop.manifests(rules), limit("few", target, &spec)])
    };
    let few = |burst: u32| {
        limit("few", target, &format!("{{requests: 1, interval: 1h, burst: {burst}}}"))
    };
    let mut shop = shop_with(TO_BLUE, &[few(2)]).await;
    assert_eq!(shop.get("/").await.status, 200);
    let changed = "- headers: {request: {set: {x-new: rule}}}\n  route:\n  - destination: {host: blue.example}\n";
    let manifests = with(&shop, changed, 2);
    shop.gateway.apply(&manifests).await;
    assert_eq!(shop.get("/").await.json()["headers"]["x-new"], "rule");
    assert_eq!(shop.get("/").await.status, 429);
    let manifests = with(&shop, changed, 3);
    shop.gateway.apply(&manifests).await;
    assert_eq!(shop.get("/").await.status, 200, "another limit begins anew");
}

#[tokio::test]
async fn a_gateways_limit_counts_all_its_requests_but_those_of_stricter_rules() {
    let policies = [
        limit("all", "kind: Gateway, name: shop", "{requests: 3, interval: 1h, status: 503}"),
        limit(
            "own",
            "kind: VirtualService, name: shop, sectionName: own",
            "{requests: 1, interval: 1h}",
        ),
        limit("free", "kind: VirtualService, name: shop, sectionName: free", "off"),
    ];
    let rules = [rule("a", ""), rule("b", ""), rule("own", ""), rule("free", "")].concat();
    let mut shop = shop_with(&rules, &policies).await;
    for (path, status) in [
        ("/a", 200),
        ("/b", 200),
        ("/own", 200),
        ("/own", 429),
        ("/none", 404),
        ("/a", 503),
        ("/none", 503),
        ("/free", 200),
    ] {
        assert_eq!(shop.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn the_gateways_own_replies_show_what_is_written_for_their_status() {
    let of_gateway = edge_policy(
        "pages",
        "{targetRefs: [{kind: Gateway, name: shop}], errorBodies: [{status: 404, body: '<h1>lost</h1>'}, {status: 5xx, contentType: text/plain, body: sorry}]}",
    );
    let of_rule = edge_policy(
        "api",
        "{targetRefs: [{kind: VirtualService, name: shop, sectionName: api}], errorBodies: [{status: 500-504, contentType: application/json, body: '{\"error\":1}'}, {status: 429, bodyBase64: c2xvd2Vy}], rateLimit: {requests: 1, interval: 1h}}",
    );
    let nowhere = |name| rule(name, "").replace("blue.example", "nowhere.example");
    let rules = [rule("status", ""), nowhere("api"), nowhere("gone")].concat();
    let rules = rules
        + "- match: [{uri: {prefix: /said}}]\n  directResponse: {status: 503, body: {string: mine}}\n";
    let mut shop = shop_with(&rules, &[of_gateway, of_rule]).await;
    let mut http2 = h2c(&shop).await;
    for (path, status, content_type, body) in [
        ("/none", 404, "text/html", "<h1>lost</h1>"),
        ("/gone", 503, "text/plain", "sorry"),
        ("/api", 503, "application/json", "{\"error\":1}"),
        ("/api", 429, "text/html", "slower"),
        ("/status/503", 503, "", "blue"),
        ("/said", 503, "text/plain", "mine"),
    ] {
        let reply = shop.get(path).await;
        assert_eq!(
            (shown(&reply, "content-type"), reply.text()),
            ((status, content_type), body),
            "{path}"
        );
    }
    assert_eq!(http2.get(HOST, "/none").await.text(), "<h1>lost</h1>");
    let head = http2.call(Call::new("HEAD", HOST, "/none")).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length"), head.body.len()),
        (404, "13", 0)
    );
    let reply = http2.call(grpc_call("/gone")).await;
    assert_eq!(
        (shown(&reply, "grpc-status"), reply.header("grpc-message"), reply.body.len()),
        ((200, "14"), "", 0)
    );
}

#[tokio::test]
async fn a_plugins_reply_keeps_its_body_and_one_that_fails_has_the_gateways() {
    let code = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (call $asks $"x-refuse") (then (call $reply (i32.const 503) $"no")))
        (if (call $asks $"x-trap") (then unreachable))
        (i32.const 0))"#;
    let pages = edge_policy(
        "pages",
        "{targetRefs: [{kind: Gateway, name: shop}], errorBodies: [{status: 5xx, body: sorry}]}",
    );
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let plugin = wasm_plugin("guest", "./guest.wasm", "");
    let documents = [manifests(TO_BLUE), backends(&blue, &green), plugin, pages];
    let directory = directory_with(&join(&documents));
    std::fs::write(directory.path().join("config/guest.wasm"), small_guest(code)).unwrap();
    let gateway = Gateway::start_in(directory, &[]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for (name, body) in [("x-refuse", "no"), ("x-trap", "sorry")] {
        let reply = client.call(Call::get(HOST, "/").header(name, "1")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (503, body), "{name}");
    }
}

#[tokio::test]
async fn native_filters_run_behind_plugins_that_hold_the_body() {
    let code = callback(
        "on_request_body",
        "(if (i32.eqz (local.get $end)) (then (return (i32.const 1))))",
    );
    let rules = [
        rule("late", "  fault: {delay: {percentage: {value: 100}, fixedDelay: 10ms}}\n"),
        rule("gone", "  fault: {abort: {percentage: {value: 100}, httpStatus: 418}}\n"),
    ];
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let plugin = wasm_plugin("guest", "./guest.wasm", "");
    let documents = [manifests(&rules.concat()), backends(&blue, &green), plugin];
    let directory = directory_with(&join(&documents));
    std::fs::write(directory.path().join("config/guest.wasm"), small_guest(&code)).unwrap();
    let mut gateway = Gateway::start_in(directory, &[]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.call(Call::post(HOST, "/late", "held")).await;
    assert_eq!(reply.json()["body"], json!("held"));
    assert_eq!(client.call(Call::post(HOST, "/gone", "held")).await.status, 418);
    for logged in [" 200 DI via_upstream ", " 418 FI fault_filter_abort "] {
        let line = gateway.access_line().await;
        assert!(line.contains(logged), "{line}");
    }
}

#[tokio::test]
async fn a_path_is_rewritten_by_a_pattern_and_held_to_the_same_rules() {
    let rewrite = |name: &str, pattern: &str, by: &str| {
        rule(
            name,
            &format!("  rewrite: {{uriRegexRewrite: {{match: '{pattern}', rewrite: '{by}'}}}}\n"),
        )
    };
    let rules = [
        rewrite("v", "^/v([0-9]+)/([^/]+)", r"/\2/\1"),
        rewrite("every", "e", "E"),
        rewrite("dots", "x", ".."),
        rewrite("bare", "^/", ""),
    ];
    let mut shop = Shop::open(&rules.concat()).await;
    for (path, sent) in [
        ("/v2/items/7?e=x", "/items/2/7?e=x"),
        ("/every/e", "/EvEry/E"),
        ("/dots/a/x/b", "/dots/b"),
    ] {
        assert_eq!(shop.get(path).await.json()["path"], sent, "{path}");
    }
    assert_eq!(shop.get("/bare").await.status, 400);
    let line = shop.gateway.access_line_with("/bare").await;
    assert!(line.contains(" 400 - rewritten_path_refused "), "{line}");
}

#[tokio::test]
async fn a_redirect_derives_its_port() {
    let redirect = |name: &str, fields: &str| {
        format!("- match: [{{uri: {{exact: /{name}}}}}]\n  redirect: {{{fields}}}\n")
    };
    let rules = [
        redirect("listener", "derivePort: FROM_REQUEST_PORT, scheme: https"),
        redirect("scheme", "derivePort: FROM_PROTOCOL_DEFAULT, authority: new.example"),
    ];
    let shop = Shop::open(&rules.concat()).await;
    let mut client = shop.connect().await;
    let reply = client.get("shop.example:8080", "/listener").await;
    assert_eq!(shown(&reply, "location"), (301, "https://shop.example:80/listener"));
    let reply = client.get("shop.example:8080", "/scheme").await;
    assert_eq!(shown(&reply, "location"), (301, "http://new.example/scheme"));
}

#[tokio::test]
async fn a_destination_has_an_authority_of_its_own() {
    let rules = "- route:\n  \
         - destination: {host: blue.example}\n    weight: 1\n    headers: {request: {set: {Host: blue.inner}}}\n  \
         - destination: {host: green.example}\n    weight: 1\n";
    let mut shop = Shop::open(rules).await;
    let mut seen = [false; 2];
    while seen != [true; 2] {
        let reply = shop.get("/").await;
        let host = reply.json()["headers"]["host"].clone();
        match reply.header("x-upstream") {
            "blue" => assert_eq!(host, "blue.inner"),
            _ => assert_eq!(host, HOST),
        }
        seen[usize::from(reply.header("x-upstream") == "green")] = true;
    }
}

#[tokio::test]
async fn explain_names_what_runs_in_order_and_what_a_filter_answers() {
    let fields = format!(
        "{CORS}  timeout: 1s\n  rewrite: {{uri: /x}}\n  fault: {{abort: {{percentage: {{value: 50}}, httpStatus: 418}}}}\n"
    );
    let always = "  fault: {abort: {percentage: {value: 100}, httpStatus: 418}}\n";
    let policies = [
        limit("all", "kind: Gateway, name: shop", "{requests: 100}"),
        edge_policy(
            "pages",
            "{targetRefs: [{kind: VirtualService, name: shop, sectionName: api}], errorBodies: [{status: 5xx, body: sorry}]}",
        ),
        limit("free", "kind: VirtualService, name: shop, sectionName: gone", "off"),
    ];
    let shop = shop_with(&[rule("api", &fields), rule("gone", always)].concat(), &policies).await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    let url = |path: &str| format!("http://{HOST}{path}");
    let told = explainer.json(&[("url", &url("/api"))]).await;
    assert_eq!(
        told["filters"],
        json!(["rate_limit", "cors", "fault", "rewrite", "timeout", "error_bodies"])
    );
    assert_eq!(told["outcome"], "forward");
    let told = explainer
        .json(&[
            ("url", &url("/api")),
            ("method", "OPTIONS"),
            ("header", "origin: https://app.example"),
            ("header", "access-control-request-method: PUT"),
        ])
        .await;
    assert_eq!((&told["outcome"], &told["status"]), (&json!("direct_response"), &json!(200)));
    let told = explainer.json(&[("url", &url("/gone"))]).await;
    assert_eq!(told["filters"], json!(["fault"]));
    assert_eq!((&told["outcome"], &told["status"]), (&json!("direct_response"), &json!(418)));
}
