//! Plugins hold requests and replies, and callbacks of other requests resume, answer or close them.

use portcullis_testkit::manifests::edge_policy;
use portcullis_testkit::{Call, Client, Reply};

use crate::shop::Shop;
use crate::small_guests::{
    SHOP, callback, clients, shop_with_guest, shop_with_guests, small_guest,
};

/// At its head, a request that carries `x-hold` is held; any other does this to the first one that was.
fn holding_requests(deed: &str) -> String {
    callback(
        "on_request_headers",
        &format!(
            "(if (call $asks $\"x-hold\")
               (then (global.set $first (local.get $context)) (call $log $\"it is held\") (return (i32.const 1))))
             (if (global.get $first) (then {deed}))"
        ),
    )
}

const RESUME: &str = "(call $resume (global.get $first) (i32.const 0))";

/// Sends a request that is held, awaits that it is, sends another, and awaits the first one's reply.
async fn held_then(shop: &mut Shop, call: Call) -> Reply {
    let mut held = shop.connect().await;
    let waiting = tokio::spawn(async move { held.call(call.header("x-hold", "1")).await });
    shop.gateway.wait_for_log("it is held").await;
    assert_eq!(shop.get("/other").await.status, 200);
    waiting.await.unwrap()
}

#[tokio::test]
async fn a_request_goes_on_when_it_is_resumed_with_the_head_as_it_is_then() {
    let deed = format!(
        "(if (call $host_context (global.get $first)) (then unreachable))
         (call $add (i32.const 0) $\"x-user\" $\"ann\")
         (call $replace (i32.const 0) $\":path\" $\"/changed\")
         {RESUME}"
    );
    for body in ["", "hello"] {
        let mut shop = shop_with_guest(&holding_requests(&deed)).await;
        let call = if body.is_empty() { Call::get(SHOP, "/") } else { Call::post(SHOP, "/", body) };
        let echo = held_then(&mut shop, call).await.json();
        assert_eq!((&echo["path"], &echo["body"]), (&"/changed".into(), &body.into()));
        assert_eq!(echo["headers"]["x-user"], "ann");
    }
}

#[tokio::test]
async fn a_held_request_is_answered_from_elsewhere() {
    let deed = "(if (call $host_context (global.get $first)) (then unreachable))
        (call $reply (i32.const 401) $\"who?\") (call $reply (i32.const 200) $\"ignored\")";
    let guest = holding_requests(deed)
        + &callback("on_response_headers", "(call $add (i32.const 2) $\"x-own\" $\"seen\")");
    let mut shop = shop_with_guest(&guest).await;
    let reply = held_then(&mut shop, Call::get(SHOP, "/")).await;
    assert_eq!((reply.status.as_u16(), reply.text(), reply.header("x-own")), (401, "who?", "seen"));
    assert_eq!(shop.blue.seen().requests, 1, "the other one alone");
}

#[tokio::test]
async fn a_held_request_is_closed_from_elsewhere() {
    let deed = "(if (call $host_context (global.get $first)) (then unreachable))
        (if (call $host_close (i32.const 0)) (then unreachable))";
    let mut shop = shop_with_guest(&holding_requests(deed)).await;
    assert_eq!(held_then(&mut shop, Call::get(SHOP, "/")).await.status, 503);
}

#[tokio::test]
async fn a_trap_elsewhere_leaves_a_held_request_to_its_fail_strategy() {
    for (strategy, wanted) in [("FAIL_CLOSE", 503), ("FAIL_OPEN", 200)] {
        let guest = small_guest(&holding_requests("unreachable"));
        let fields = format!("failStrategy: {strategy}\n");
        let mut shop = shop_with_guests(&[("guest", guest, &fields)], &[]).await;
        let mut held = shop.connect().await;
        let waiting = tokio::spawn(async move {
            held.call(Call::post(SHOP, "/", "hello").header("x-hold", "1")).await
        });
        shop.gateway.wait_for_log("it is held").await;
        assert_eq!(shop.get("/other").await.status, wanted);
        let reply = waiting.await.unwrap();
        assert_eq!(reply.status, wanted, "{strategy}");
        if wanted == 200 {
            assert_eq!(reply.json()["body"], "hello");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_stream_once() {
    let guest = holding_requests("")
        + "(func (export \"proxy_on_done\") (param i32) (result i32) (call $log $\"done with it\") (i32.const 1))
           (func (export \"proxy_on_log\") (param i32) (call $log $\"logs it\"))
           (func (export \"proxy_on_delete\") (param i32) (call $log $\"deletes it\"))";
    let mut shop = shop_with_guest(&guest).await;
    let mut held = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let waiting =
        tokio::spawn(async move { held.call(Call::get(SHOP, "/").header("x-hold", "1")).await });
    shop.gateway.wait_for_log("it is held").await;
    waiting.abort();
    for line in ["done with it", "logs it", "deletes it"] {
        shop.gateway.wait_for_log(line).await;
    }
    let line = shop.gateway.access_line().await;
    assert!(line.contains("DC"), "{line}");
    assert_eq!(shop.get("/other").await.status, 200);
    shop.gateway.wait_for_log("deletes it").await;
    let times = |word: &str| shop.gateway.log.iter().filter(|line| line.contains(word)).count();
    assert_eq!([times("done with it"), times("logs it"), times("deletes it")], [2, 2, 2]);
}

#[tokio::test]
async fn what_is_held_for_too_long_is_answered() {
    let guest = small_guest(&holding_requests(""));
    let policy = edge_policy("edge", "{timeouts: {streamIdle: 1s}}");
    let mut shop = shop_with_guests(&[("guest", guest, "")], &[policy]).await;
    let mut held = shop.connect().await;
    let reply = held.call(Call::get(SHOP, "/").header("x-hold", "1")).await;
    assert_eq!(reply.status, 504);
    let line = shop.gateway.access_line().await;
    assert!(line.contains("stream_idle_timeout"), "{line}");
}

/// At the reply's head, one that answers `x-hold` is held; any other request resumes it.
fn holding_replies(name: &str, deed: &str) -> String {
    callback(
        name,
        "(if (call $asks $\"x-hold\")
           (then (global.set $first (local.get $context)) (call $log $\"it is held\") (return (i32.const 1))))",
    ) + &callback(
        "on_request_headers",
        &format!("(if (i32.eqz (call $asks $\"x-hold\")) (then (if (global.get $first) (then {deed}))))"),
    )
}

#[tokio::test]
async fn a_reply_goes_on_when_it_is_resumed() {
    let deed = "(if (call $host_context (global.get $first)) (then unreachable))
        (call $add (i32.const 2) $\"x-late\" $\"yes\")
        (call $resume (global.get $first) (i32.const 1))";
    let mut shop = shop_with_guest(&holding_replies("on_response_headers", deed)).await;
    let reply = held_then(&mut shop, Call::post(SHOP, "/", "hello")).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-late")), (200, "yes"));
    assert_eq!(reply.json()["body"], "hello");
}

#[tokio::test]
async fn a_held_reply_is_replaced_from_elsewhere() {
    let deed = "(if (call $host_context (global.get $first)) (then unreachable))
        (call $reply (i32.const 502) $\"not good\")";
    let mut shop = shop_with_guest(&holding_replies("on_response_headers", deed)).await;
    let reply = held_then(&mut shop, Call::get(SHOP, "/")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (502, "not good"));
}

#[tokio::test]
async fn a_held_body_goes_on_when_it_is_resumed() {
    for (name, stream) in [("on_request_body", 0), ("on_response_body", 1)] {
        let deed = format!(
            "(if (call $host_context (global.get $first)) (then unreachable))
             (call $set_buffer (i32.const {stream}) (i32.const 0) (i32.const 0) $\"  \")
             (call $resume (global.get $first) (i32.const {stream}))"
        );
        let mut shop = shop_with_guest(&holding_replies(name, &deed)).await;
        let reply = held_then(&mut shop, Call::post(SHOP, "/", "hello")).await;
        let (text, body) = (reply.text().to_owned(), reply.json()["body"].clone());
        let wanted = if stream == 0 { ("{", "  hello") } else { ("  {", "hello") };
        assert!(text.starts_with(wanted.0) && body == wanted.1, "{name}: {text}");
    }
}

#[tokio::test]
async fn the_head_alone_is_held_where_the_plugin_asks_for_that() {
    let guest = callback("on_request_headers", "(return (i32.const 1))")
        + &callback(
            "on_request_body",
            "(if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
             (call $add (i32.const 0) $\"x-body\" $\"seen\")",
        );
    let (blue, green) =
        (portcullis_testkit::Upstream::start("blue"), portcullis_testkit::Upstream::start("green"));
    let plugin = portcullis_testkit::manifests::wasm_plugin("guest", "./guest.wasm", "").replace(
        "metadata:\n",
        "metadata:\n  annotations: {portcullis.dev/on-headers-pause: head}\n",
    );
    let manifests = portcullis_testkit::manifests::join(&[
        crate::shop::manifests(crate::shop::TO_BLUE),
        crate::shop::backends(&blue, &green),
        plugin,
    ]);
    let directory = crate::gateway::directory_with(&manifests);
    std::fs::write(directory.path().join("config/guest.wasm"), small_guest(&guest)).unwrap();
    let gateway = crate::gateway::Gateway::start_in(directory, &[]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    let shop = Shop { gateway, client, blue, green };
    for mut client in clients(&shop).await {
        let echo = client.call(Call::post(SHOP, "/", "hello")).await.json();
        assert_eq!((&echo["body"], &echo["headers"]["x-body"]), (&"hello".into(), &"seen".into()));
    }
}
