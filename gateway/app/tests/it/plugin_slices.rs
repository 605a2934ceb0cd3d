//! The limit `slice`: a plugin whose callbacks take long gives way to others.

use portcullis_testkit::{Call, Client};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::shop::{HOST, Shop};
use crate::small_guests::{callback, shop_with_annotated};

/// What its callbacks may take, which no test reaches that does not want to.
const SLICED: &str = "portcullis.dev/isolation: request, \
     portcullis.dev/limits: 'slice=1ms,callback=5m,request=10m,share=100%'";

async fn sliced(functions: &str) -> Shop {
    shop_with_annotated(functions, SLICED, "").await
}

/// Code that takes far longer than a slice, where the request asks for it.
const LONG: &str = "(if (call $asks $\"x-slow\") (then
    (global.set $first (i32.const 0))
    (loop $again
      (global.set $first (i32.add (global.get $first) (i32.const 1)))
      (br_if $again (i32.lt_u (global.get $first) (i32.const 60000000))))))";

/// Never comes to an end by itself.
const ENDLESS: &str = "(if (call $asks $\"x-slow\") (then (loop $again (br $again))))";

#[tokio::test]
async fn slow_callbacks_do_their_work_in_heads_and_bodies_of_both_ways() {
    let body = |way: &str| callback(&format!("on_{way}_body"), LONG);
    let guest = callback(
        "on_request_headers",
        &format!("{LONG} (call $add (i32.const 0) $\"x-head\" $\"seen\")"),
    ) + &callback(
        "on_response_headers",
        &format!("{LONG} (call $add (i32.const 2) $\"x-reply\" $\"seen\")"),
    ) + &body("request")
        + &body("response");
    let shop = sliced(&guest).await;
    let mut client = shop.connect().await;
    for slow in [true, false] {
        let call = Call::post(HOST, "/", "a body that is sent up");
        let call = if slow { call.header("x-slow", "yes") } else { call };
        let reply = client.call(call).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-reply"), "seen");
        let seen = reply.json();
        assert_eq!(seen["headers"]["x-head"], "seen");
        assert_eq!(seen["body"], "a body that is sent up");
    }
}

#[tokio::test]
async fn others_are_served_while_a_callback_runs() {
    let shop = sliced(&callback("on_request_headers", ENDLESS)).await;
    let address = shop.gateway.address("http");
    let slow = tokio::spawn(async move {
        let mut client = Client::http1(address).await.unwrap();
        client.call(Call::get(HOST, "/").header("x-slow", "yes")).await
    });
    let mut client = shop.connect().await;
    for _ in 0..50 {
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    assert!(!slow.is_finished(), "its callback has minutes");
}

#[tokio::test]
async fn a_callback_ends_with_its_client() {
    let mut shop = sliced(&callback("on_request_headers", ENDLESS)).await;
    let mut stream = TcpStream::connect(shop.gateway.address("http")).await.unwrap();
    let head = format!("GET /left HTTP/1.1\r\nhost: {HOST}\r\nx-slow: yes\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let line = shop.gateway.access_line_with("/left").await;
    assert!(line.contains(" 0 DC ") && line.contains(HOST), "{line}");
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn an_endless_callback_ends_with_its_budget() {
    let limits =
        "portcullis.dev/isolation: request, portcullis.dev/limits: 'slice=1ms,callback=30ms'";
    let guest = callback("on_request_headers", ENDLESS);
    let mut shop = shop_with_annotated(&guest, limits, "").await;
    assert_eq!(shop.get_with("/", "x-slow", "yes").await.status, 503);
    shop.gateway.wait_for_log("time budget").await;
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn it_goes_with_sandboxes_alone() {
    let guest = callback("on_request_headers", "");
    let mut shop = shop_with_annotated(&guest, "portcullis.dev/limits: 'slice=1ms'", "").await;
    let line = shop.gateway.logged("the limit `slice` goes with").await;
    assert!(line.contains("WasmPlugin/default/guest"), "{line}");
}
