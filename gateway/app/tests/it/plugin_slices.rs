//! The limit `slice`: a plugin whose callbacks take long gives way to others.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use portcullis_testkit::manifests::service_entry;
use portcullis_testkit::{Call, Client, TestBody, Upstream, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::shop::{HOST, Shop};
use crate::small_guests::{
    annotated, callback, clients, map, shop_with_annotated, shop_with_objects, small_guest,
};

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

/// The head of a request is upstream, and its reply comes, while its body is still sent: the plugin is slow at both.
#[tokio::test]
async fn the_halves_of_a_stream_do_not_get_in_each_others_way() {
    let guest = callback("on_request_body", LONG)
        + &callback(
            "on_response_headers",
            &format!("{LONG} (call $add (i32.const 2) $\"x-reply\" $\"seen\")"),
        )
        + &callback("on_response_body", LONG);
    let shop = sliced(&guest).await;
    for mut client in clients(&shop).await {
        let (writer, body) = TestBody::written();
        let call = Call::post(HOST, "/drip", body).header("x-slow", "yes");
        let writing = tokio::spawn(async move {
            for _ in 0..20 {
                if writer.send(Ok(Bytes::from_static(b"piece,"))).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let reply = client.open(call).await.unwrap();
        assert_eq!(
            (reply.status().as_u16(), reply.headers()["x-reply"].to_str().unwrap()),
            (200, "seen")
        );
        shop.blue.until(|seen| seen.held == 1).await;
        shop.blue.release();
        let body = within("the whole reply", reply.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "first,second");
        writing.await.unwrap();
    }
}

/// One plugin holds the body until its call is answered, another is slow at each of its pieces.
#[tokio::test]
async fn one_that_gives_way_beside_one_that_holds() {
    let auth = Upstream::start("auth");
    let head = map(&[(":method", "GET"), (":path", "/check"), (":authority", "auth.example")]);
    let holds = callback(
        "on_request_body",
        &format!(
            "(if (i32.eqz (global.get $first)) (then
               (global.set $first (local.get $context))
               (call $expect (call $host_http_call $\"auth.example:80\" {head} (i32.const 0) (i32.const 0)
                 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 520)) (i32.const 0))))
             (return (i32.const 1))"
        ),
    ) + "(func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
           (call $resume (global.get $first) (i32.const 0)))";
    let entry = service_entry("auth", "auth.example", 80, &[auth.address()]);
    let objects = [
        entry,
        annotated("slow", SLICED, "priority: 2\n"),
        annotated("holds", "portcullis.dev/isolation: request", "priority: 1\n"),
    ];
    let slow = small_guest(&callback("on_request_body", LONG));
    let guests = [("slow", slow, ""), ("holds", small_guest(&holds), "")];
    let shop = shop_with_objects(&objects, &guests).await;
    for mut client in clients(&shop).await {
        let (writer, body) = TestBody::written();
        let call = Call::post(HOST, "/", body).header("x-slow", "yes");
        let writing = tokio::spawn(async move {
            for _ in 0..10 {
                writer.send(Ok(Bytes::from_static(b"piece,"))).await.unwrap();
            }
        });
        let reply = client.call(call).await;
        writing.await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["body"], "piece,".repeat(10));
    }
}
