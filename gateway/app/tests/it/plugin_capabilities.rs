//! What plugins may touch: what their modules say, what operators grant, and what becomes of a call beyond that.

use portcullis_testkit::Client;
use portcullis_testkit::manifests::join;

use crate::gateway::{Gateway, directory_with};
use crate::metrics::{find_sample, metrics};
use crate::shop::{self, HOST, TO_BLUE, backends};
use crate::small_guests::{annotated, callback, map, on_configure, small_guest};

/// A module with a manifest, in the section that says what it touches.
fn with_manifest(mut module: Vec<u8>, manifest: &str) -> Vec<u8> {
    let name = b"portcullis.capabilities";
    let length = 1 + name.len() + manifest.len();
    module.push(0);
    module.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    module.push(u8::try_from(name.len()).unwrap());
    module.extend(name);
    module.extend(manifest.as_bytes());
    module
}

/// A module that adds a header to each request.
fn marking() -> Vec<u8> {
    small_guest(&callback("on_request_headers", "(call $add (i32.const 0) $\"x-mark\" $\"yes\")"))
}

/// A gateway whose `edit` was made to its manifests.
async fn shop_of(module: &[u8], annotations: &str, edit: fn(String) -> String) -> Gateway {
    let blue = portcullis_testkit::Upstream::start("blue");
    let object = annotated("guest", annotations, "");
    let documents = [edit(shop::manifests(TO_BLUE)), backends(&blue, &blue), object];
    let directory = directory_with(&join(&documents));
    std::fs::write(directory.path().join("config/guest.wasm"), module).unwrap();
    let gateway = Gateway::start_in(directory, &["--workers", "1"]).await;
    // It lives as long as the test.
    std::mem::forget(blue);
    gateway
}

async fn mark(gateway: &Gateway) -> String {
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.get(HOST, "/").await;
    if reply.status != 200 {
        return reply.status.as_u16().to_string();
    }
    reply.json()["headers"]["x-mark"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_module_without_a_manifest_gets_the_compatible_set() {
    for annotations in
        ["", "portcullis.dev/capabilities: all", "portcullis.dev/capabilities: compatible"]
    {
        let gateway = shop_of(&marking(), annotations, |all| all).await;
        assert_eq!(mark(&gateway).await, "yes");
    }
}

#[tokio::test]
async fn what_sdks_take_no_refusal_of_ends_the_callback() {
    let mut gateway =
        shop_of(&marking(), "portcullis.dev/capabilities: 'log,metrics'", |all| all).await;
    assert_eq!(mark(&gateway).await, "503");
    let refused = gateway.logged("it needs the capability `headers`").await;
    assert!(refused.contains("proxy_add_header_map_value"), "{refused}");
    let metrics = metrics(&gateway).await;
    let name = "portcullis_plugin_refused_calls_total";
    assert_eq!(find_sample(&metrics, name, &["proxy_add_header_map_value"]), Some(1.0));
}

#[tokio::test]
async fn a_call_beyond_its_capabilities_gets_a_status_that_sdks_take() {
    let call = |cluster: &str| {
        let head = map(&[(":method", "GET"), (":path", "/"), (":authority", "x")]);
        format!(
            "(if (i32.ne (call $host_http_call $\"{cluster}\" {head} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 64)) (i32.const STATUS)) (then unreachable))"
        )
    };
    let blue = call("blue.example:80");
    // One without the capability, one with it for others, one for this one by another of its names.
    for (grant, status) in [
        ("headers", 10),
        ("'headers,upstreams=green.example:80'", 10),
        ("'headers,upstreams=outbound|80||blue.example'", 0),
        ("'headers,upstreams'", 0),
    ] {
        let code = blue.replace("STATUS", &status.to_string());
        let module = small_guest(&callback(
            "on_request_headers",
            &format!("{code} (call $add (i32.const 0) $\"x-mark\" $\"yes\")"),
        ));
        let annotation = format!("portcullis.dev/capabilities: {grant}");
        let gateway = shop_of(&module, &annotation, |all| all).await;
        assert_eq!(mark(&gateway).await, "yes", "{grant}");
    }
}

#[tokio::test]
async fn a_module_that_needs_more_than_is_granted_is_refused_before_it_serves() {
    let manifest = r#"{"version":1,"capabilities":["headers","upstreams"]}"#;
    let module = with_manifest(marking(), manifest);
    let mut gateway = shop_of(&module, "portcullis.dev/capabilities: headers", |all| all).await;
    let problem = gateway.logged("PC0410").await;
    assert!(problem.contains("not granted: upstreams"), "{problem}");
    assert_eq!(mark(&gateway).await, "503");
    let gateway = shop_of(&module, "", |all| all).await;
    assert_eq!(mark(&gateway).await, "yes");
}

#[tokio::test]
async fn a_manifest_holds_its_module_to_what_it_says() {
    let module = with_manifest(marking(), r#"{"version":1,"capabilities":["log"]}"#);
    let gateway = shop_of(&module, "", |all| all).await;
    assert_eq!(mark(&gateway).await, "503");
    let broken = with_manifest(marking(), r#"{"version":1,"capabilities":["everything"]}"#);
    let mut gateway = shop_of(&broken, "", |all| all).await;
    assert!(gateway.logged("PC0410").await.contains("no capability `everything`"));
}

#[tokio::test]
async fn a_gateway_can_demand_manifests() {
    let demanding = |all: String| {
        let gateway = "kind: Gateway\nmetadata:\n  name: shop\n";
        assert!(all.contains(gateway), "{all}");
        let annotations = "  annotations: {portcullis.dev/plugin-manifests: required}\n";
        all.replacen(gateway, &format!("{gateway}{annotations}"), 1)
    };
    let mut gateway = shop_of(&marking(), "", demanding).await;
    let problem = gateway.logged("PC0410").await;
    assert!(problem.contains("a Gateway that it serves demands one"), "{problem}");
    assert_eq!(mark(&gateway).await, "503");
    let module = with_manifest(marking(), r#"{"version":1,"capabilities":["headers"]}"#);
    let gateway = shop_of(&module, "", demanding).await;
    assert_eq!(mark(&gateway).await, "yes");
}

#[tokio::test]
async fn a_tick_that_is_not_granted_is_refused_when_the_plugin_starts() {
    let code = on_configure("(drop (call $host_set_tick (i32.const 100)))");
    let mut gateway =
        shop_of(&small_guest(&code), "portcullis.dev/capabilities: headers", |all| all).await;
    let problem = gateway.logged("PC0404").await;
    assert!(problem.contains("it needs the capability `ticks`"), "{problem}");
}
