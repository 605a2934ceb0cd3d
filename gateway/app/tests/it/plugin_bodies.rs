//! Bodies and trailers pass through plugins: streamed or held, changed, refused, in both directions.

use bytes::Bytes;
use http_body_util::BodyExt;
use portcullis_testkit::{Call, Client, TestBody};

use crate::shop::Shop;
use crate::small_guests::{
    SHOP, callback, clients, shop_with_guest, shop_with_guests, small_guest, trailers_callback,
};

const KEEP_WHOLE: &str = "(if (i32.eqz (local.get $end)) (then (return (i32.const 1))))";

/// Puts a body between `<` and `>`: 0 for a request's, 1 for a reply's.
fn bracket(buffer: u8) -> String {
    format!(
        "(call $set_buffer (i32.const {buffer}) (i32.const 0) (i32.const 0) $\"<\")
         (call $set_buffer (i32.const {buffer}) (i32.const 0x7fffffff) (i32.const 0) $\">\")"
    )
}

/// Puts each piece, or the whole where it is kept until then, between brackets.
fn bracketing(kept: &str) -> String {
    let body = |name, buffer| callback(name, &format!("{kept} {}", bracket(buffer)));
    body("on_request_body", 0) + &body("on_response_body", 1)
}

/// Sends a body whose length is not known before; the reply, as far as it comes.
async fn chunked(client: &mut Client, path: &str, pieces: &[&'static str]) -> (u16, Bytes) {
    let (writer, body) = TestBody::written();
    let sending = async move {
        for piece in pieces {
            writer.send(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
        }
    };
    let (response, ()) = tokio::join!(client.open(Call::post(SHOP, path, body)), sending);
    let response = response.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_body_kept_whole_is_changed_and_framed_anew() {
    let shop = shop_with_guest(&bracketing(KEEP_WHOLE)).await;
    let large = "x".repeat(64 << 10);
    for mut client in clients(&shop).await {
        for body in ["a", &large] {
            let reply = client.call(Call::post(SHOP, "/", body.to_owned())).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-length"), reply.body.len().to_string());
            let text = reply.text().strip_prefix('<').unwrap().strip_suffix('>').unwrap();
            let echo: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(echo["body"], format!("<{body}>"));
            assert_eq!(echo["headers"]["content-length"], (body.len() + 2).to_string());
        }
        let (_, text) = chunked(&mut client, "/", &["ab", "cd"]).await;
        let echo: serde_json::Value = serde_json::from_slice(&text[1..text.len() - 1]).unwrap();
        assert_eq!(echo["body"], "<abcd>");
    }
}

#[tokio::test]
async fn there_is_no_body_callback_where_there_is_no_body() {
    let trap =
        callback("on_request_body", "unreachable") + &callback("on_response_body", "unreachable");
    let shop = shop_with_guest(&trap).await;
    for mut client in clients(&shop).await {
        assert_eq!(client.call(Call::get(SHOP, "/status/204")).await.status, 204);
        assert_eq!(client.call(Call::new("HEAD", SHOP, "/")).await.status, 200);
        assert_eq!(client.call(Call::get(SHOP, "/status/304")).await.status, 304);
    }
}

#[tokio::test]
async fn a_body_that_nobody_holds_streams() {
    let shop = shop_with_guest(&bracketing("")).await;
    for mut client in clients(&shop).await {
        let mut body = client.open(Call::get(SHOP, "/drip")).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "<first,>");
        shop.blue.release();
        let rest = body.collect().await.unwrap().to_bytes();
        assert!(rest.starts_with(b"<second>"), "{rest:?}");
        let reply = client.call(Call::get(SHOP, "/stream/3").header("x-a", "b")).await;
        let zeros = reply.body.iter().filter(|byte| **byte == 0).count();
        assert_eq!(zeros, 3 << 20, "all of it came through");
    }
}

#[tokio::test]
async fn the_length_stays_where_no_plugin_can_change_it() {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) i32.const 0)
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) i32.const 0))"#;
    let guest = portcullis_testkit::module(text);
    let shop = shop_with_guests(&[("guest", guest, "")], &[]).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::post(SHOP, "/", "hello")).await;
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
        assert_eq!(reply.json()["headers"]["content-length"], "5");
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_held_is_refused() {
    let shop = shop_with_guest(&bracketing(KEEP_WHOLE)).await;
    for mut client in clients(&shop).await {
        let request = client.call(Call::post(SHOP, "/", vec![b'x'; 2 << 20])).await;
        assert_eq!(request.status, 413);
    }
    for client in clients(&shop).await.iter_mut() {
        let fits = client.call(Call::post(SHOP, "/sink", vec![b'x'; 1 << 20])).await;
        assert_eq!(fits.status, 200);
        assert_eq!(client.call(Call::get(SHOP, "/stream/2")).await.status, 500);
    }
    assert_eq!(shop.blue.seen().uploaded, 2 * ((1 << 20) + 2));
}

#[tokio::test]
async fn a_plugin_refuses_a_body_before_anything_of_it_goes_up() {
    let refusing = callback(
        "on_request_body",
        &format!("{KEEP_WHOLE} (call $reply (i32.const 403) $\"not this\")"),
    );
    let shop = shop_with_guest(&refusing).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::post(SHOP, "/", "hello")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (403, "not this"));
    }
    assert_eq!(shop.blue.seen().requests, 0);
    for mut client in clients(&shop).await {
        assert_eq!(chunked(&mut client, "/", &["a", "b"]).await.0, 403);
    }
}

#[tokio::test]
async fn a_reply_of_a_plugin_passes_its_own_callbacks() {
    let guest = callback("on_request_body", "(call $reply (i32.const 403) $\"no\")")
        + &callback("on_response_headers", "(call $add (i32.const 2) $\"x-own\" $\"seen\")")
        + &callback("on_response_body", &format!("{KEEP_WHOLE} {}", bracket(1)));
    let shop = shop_with_guest(&guest).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::post(SHOP, "/", "hello")).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-own")), (403, "seen"));
        assert_eq!(reply.text(), "<no>");
    }
}

#[tokio::test]
async fn a_reply_once_the_head_is_out_breaks_the_stream_off() {
    let guest = callback("on_response_body", "(call $reply (i32.const 403) $\"late\")");
    let mut shop = shop_with_guest(&guest).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::get(SHOP, "/")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (403, "late"), "its length was known");
        shop.gateway.access_line().await;
        assert!(client.try_call(Call::get(SHOP, "/drip")).await.is_err());
        let line = shop.gateway.access_line().await;
        assert!(line.contains("wasm_local_response_after_response_started"), "{line}");
    }
}

#[tokio::test]
async fn a_chain_passes_pieces_on_and_back_in_reverse() {
    let marking = |mark: &str| {
        let code = |buffer| {
            format!(
                "{KEEP_WHOLE} (call $set_buffer (i32.const {buffer}) (i32.const 0) (i32.const 0) $\"{mark}\")"
            )
        };
        small_guest(
            &(callback("on_request_body", &code(0)) + &callback("on_response_body", &code(1))),
        )
    };
    let guests = [("one", marking("1"), "priority: 2\n"), ("two", marking("2"), "priority: 1\n")];
    let shop = shop_with_guests(&guests, &[]).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::post(SHOP, "/", "hello")).await;
        let text = reply.text();
        assert!(text.starts_with("12{"), "{text}");
        let echo: serde_json::Value = serde_json::from_str(&text[2..]).unwrap();
        assert_eq!(echo["body"], "21hello");
    }
}

#[tokio::test]
async fn trailers_are_changed_and_added_and_never_decide() {
    let guest = trailers_callback(
        "on_request_trailers",
        r#"(call $add (i32.const 1) $"x-more" $"1") (call $add (i32.const 1) $"authorization" $"evil")"#,
    ) + &trailers_callback(
        "on_response_trailers",
        r#"(call $replace (i32.const 3) $"x-checksum" $"43")"#,
    );
    let shop = shop_with_guest(&guest).await;
    for mut client in clients(&shop).await {
        let call = Call::post(SHOP, "/", "hello")
            .trailer("x-sum", "7")
            .header("trailer", "x-more, authorization");
        let echo = client.call(call).await.json();
        assert_eq!(echo["trailers"], serde_json::json!({ "x-sum": "7", "x-more": "1" }));
        let reply = client.call(Call::get(SHOP, "/trailers").accept_trailers()).await;
        assert_eq!(reply.text(), "with trailers");
        assert_eq!(reply.trailers.unwrap()["x-checksum"], "43");
    }
    let adding = callback(
        "on_request_body",
        &format!("{KEEP_WHOLE} (call $add (i32.const 1) $\"x-new\" $\"1\")"),
    );
    let shop = shop_with_guest(&adding).await;
    for mut client in clients(&shop).await {
        let echo = client.call(Call::post(SHOP, "/", "hello")).await.json();
        assert_eq!((&echo["trailers"]["x-new"], &echo["body"]), (&"1".into(), &"hello".into()));
    }
}

#[tokio::test]
async fn a_body_is_added_where_there_was_none() {
    let add = |buffer| {
        format!("(call $set_buffer (i32.const {buffer}) (i32.const 0) (i32.const 0) $\"new\")")
    };
    let guest = callback("on_request_headers", &add(0));
    let shop = shop_with_guest(&guest).await;
    for mut client in clients(&shop).await {
        let echo = client.call(Call::new("POST", SHOP, "/")).await.json();
        assert_eq!(
            (&echo["body"], &echo["headers"]["content-length"]),
            (&"new".into(), &"3".into())
        );
    }
    let guest = callback("on_request_headers", "(call $reply (i32.const 418) $\"\")")
        + &callback("on_response_headers", &format!("(if (local.get $end) (then {}))", add(1)));
    let shop = shop_with_guest(&guest).await;
    for mut client in clients(&shop).await {
        let reply = client.call(Call::get(SHOP, "/")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (418, "new"));
        assert_eq!(reply.header("content-length"), "3");
    }
}

/// A guest that traps in the body of requests that ask for it, once it has changed an earlier piece where they ask
/// for that too.
fn trapping() -> Vec<u8> {
    let code = format!(
        "(if (call $asks $\"x-alter\") (then {} (if (i32.eqz (global.get $first))
           (then (global.set $first (i32.const 1)) (return (i32.const 0))))))
         (if (call $asks $\"x-trap\") (then unreachable))",
        bracket(0)
    );
    small_guest(&callback("on_request_body", &code))
}

async fn trap_shop(fields: &str) -> Shop {
    shop_with_guests(&[("guest", trapping(), fields)], &[]).await
}

#[tokio::test]
async fn a_trap_in_a_body_follows_the_fail_strategy() {
    let shop = trap_shop("").await;
    let mut client = shop.connect().await;
    let reply = client.call(Call::post(SHOP, "/", "hello").header("x-trap", "1")).await;
    assert_eq!(reply.status, 503);
    assert_eq!(shop.blue.seen().requests, 0);

    let shop = trap_shop("failStrategy: FAIL_OPEN\n").await;
    let mut client = shop.connect().await;
    let reply = client.call(Call::post(SHOP, "/", "hello").header("x-trap", "1")).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["body"]), (200, &"hello".into()));

    // Half of it is changed already: without the plugin it makes no sense.
    let shop = trap_shop("failStrategy: FAIL_OPEN\n").await;
    let mut client = shop.connect().await;
    let (writer, body) = TestBody::written();
    let call = Call::post(SHOP, "/", body).header("x-trap", "1").header("x-alter", "1");
    let sending = async {
        writer.send(Ok(Bytes::from_static(b"one"))).await.unwrap();
        shop.blue.until(|seen| seen.requests == 1).await;
        let _ = writer.send(Ok(Bytes::from_static(b"two"))).await;
    };
    let (reply, ()) = tokio::join!(client.try_call(call), sending);
    assert!(reply.is_err() || reply.is_ok_and(|reply| reply.status == 503));
}

#[tokio::test]
async fn a_message_of_grpc_passes_with_its_trailers() {
    let guest = callback("on_request_body", "")
        + &trailers_callback("on_response_trailers", r#"(call $add (i32.const 3) $"x-seen" $"1")"#);
    let shop = shop_with_guest(&guest).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let call = Call::post(SHOP, "/trailers", "\0\0\0\0\u{1}a")
        .header("content-type", "application/grpc")
        .accept_trailers();
    let reply = client.call(call).await;
    assert_eq!(reply.trailers.unwrap()["x-seen"], "1");
}
