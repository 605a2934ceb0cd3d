//! Floods of HTTP/2 frames: each ends its own connection and no other, and the access log tells it.

use portcullis_testkit::frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING,
    PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use portcullis_testkit::{
    Call, Client, Frame, FrameConnection, Http2Answer, header_block, http2_exchange,
};

use crate::shop::{HOST, Shop, TO_BLUE};

/// A shop of one worker, so that every connection is a neighbour of every other.
async fn shop() -> Shop {
    Shop::open_with(TO_BLUE, &["--workers", "1"]).await
}

fn encoded(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Frame { kind, flags, stream, payload: payload.to_vec() }.encode()
}

fn head(path: &str) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", path)];
    header_block(&fields)
}

/// Sends these bytes on a connection of their own, which has to end with the error ENHANCE_YOUR_CALM and a line of
/// these details, while two neighbours go on.
async fn flood(shop: &mut Shop, bytes: Vec<u8>, details: &str) {
    flood_ending(shop, bytes, &[details]).await;
}

/// The line of a connection that was ended, after those of streams that were refused on it.
async fn line_of_the_end(shop: &mut Shop) -> String {
    loop {
        let line = shop.gateway.access_line_with(" DPE ").await;
        if !line.contains("http2.stream_refused") {
            return line;
        }
    }
}

/// The same where which limit is reached first depends on how the bytes arrive.
async fn flood_ending(shop: &mut Shop, bytes: Vec<u8>, details: &[&str]) {
    let address = shop.gateway.address("http");
    let mut neighbour = Client::h2c(address).await.unwrap();
    assert_eq!(neighbour.get(HOST, "/before").await.status, 200);
    let mut connection = FrameConnection::open(address).await.unwrap();
    // The end may come while it is still sending.
    let _ended = connection.send_bytes(&bytes).await;
    let goaway = connection.next_where(|frame| frame.kind == GOAWAY).await;
    let goaway = goaway.unwrap_or_else(|| panic!("{details:?}: closed without a word"));
    assert_eq!(goaway.number(4), ENHANCE_YOUR_CALM, "{details:?}");
    assert_eq!(connection.next().await, None, "{details:?}: then closed");
    let line = line_of_the_end(shop).await;
    assert!(details.iter().any(|details| line.contains(&format!(" 0 DPE {details} "))), "{line}");
    assert_eq!(neighbour.get(HOST, "/after").await.status, 200, "{details:?}");
    assert_eq!(shop.get("/after").await.status, 200, "{details:?}");
}

#[tokio::test]
async fn control_frames_beyond_their_budget_end_the_connection() {
    let mut shop = shop().await;
    let open = encoded(HEADERS, END_HEADERS, 1, &head("/slow"));
    for (frame, details) in [
        (encoded(PING, 0, 0, &[0; 8]), "http2.control_frame_flood"),
        (encoded(SETTINGS, 0, 0, &[]), "http2.control_frame_flood"),
        (encoded(DATA, 0, 1, &[]), "http2.control_frame_flood"),
        (encoded(DATA, 8, 1, &[3, 0, 0, 0]), "http2.control_frame_flood"),
        (encoded(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]), "http2.frame_flood"),
        (encoded(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), "http2.frame_flood"),
        (encoded(0xfa, 0, 0, b"unknown"), "http2.frame_flood"),
    ] {
        let bytes = [open.clone(), frame.repeat(300)].concat();
        flood(&mut shop, bytes, details).await;
    }
    shop.blue.until(|seen| seen.held == 0).await;
}

#[tokio::test]
async fn a_header_block_in_many_pieces_ends_the_connection() {
    let mut shop = shop().await;
    let begin = encoded(HEADERS, END_STREAM, 1, &[]);
    let piece = encoded(CONTINUATION, 0, 1, b"\x82");
    let bytes = [begin, piece.repeat(100)].concat();
    flood(&mut shop, bytes, "http2.header_block_too_large").await;
}

#[tokio::test]
async fn streams_reset_as_soon_as_they_are_opened_end_the_connection() {
    let mut shop = shop().await;
    let block = head("/slow");
    let pairs = (0..3000).map(|nth| {
        let stream = nth * 2 + 1;
        let open = encoded(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        [open, encoded(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    let bytes = pairs.collect::<Vec<_>>().concat();
    let details = ["http2.rapid_reset", "http2.too_many_resets"];
    flood_ending(&mut shop, bytes, &details).await;
    let seen = shop.blue.until(|seen| seen.held == 0).await;
    assert!(seen.requests < 600, "the upstream saw {} requests", seen.requests);
}

#[tokio::test]
async fn streams_that_the_gateway_is_made_to_reset_end_the_connection() {
    let mut shop = shop().await;
    let block = head("/slow");
    let pairs = (0..3000).map(|nth| {
        let stream = nth * 2 + 1;
        let open = encoded(HEADERS, END_HEADERS, stream, &block);
        // Beyond the largest window: an error of that stream (RFC 9113 section 6.9.1).
        [open, encoded(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat()
    });
    let bytes = pairs.collect::<Vec<_>>().concat();
    let details = ["http2.rapid_reset", "http2.too_many_resets"];
    flood_ending(&mut shop, bytes, &details).await;
    let seen = shop.blue.until(|seen| seen.held == 0).await;
    assert!(seen.requests < 1200, "the upstream saw {} requests", seen.requests);
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_is_logged() {
    let mut shop = shop().await;
    let address = shop.gateway.address("http");
    let connection_specific = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", HOST),
        (":path", "/"),
        ("connection", "close"),
    ];
    assert_eq!(http2_exchange(address, &connection_specific).await, Http2Answer::Reset(1));
    let line = shop.gateway.access_line().await;
    assert!(line.contains(" 0 DPE http2.stream_refused "), "{line}");

    let mut connection = FrameConnection::open(address).await.unwrap();
    connection.send(PING, 0, 0, b"short").await.unwrap();
    let goaway = connection.next_where(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goaway.number(4), PROTOCOL_ERROR);
    let line = shop.gateway.access_line().await;
    assert!(line.contains(" 0 DPE http2.protocol_error "), "{line}");
}

#[tokio::test]
async fn a_head_with_too_much_in_it_is_431() {
    let mut shop = shop().await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let with = |count: usize, length: usize| {
        let call = Call::get(HOST, "/");
        (0..count).fold(call, |call, nth| call.header(&format!("x-{nth}"), &"v".repeat(length)))
    };
    assert_eq!(client.call(with(90, 1)).await.status, 200);
    for (call, details) in [
        (with(101, 1), "http2.too_many_fields"),
        (with(1, 17 << 10), "http2.field_too_large"),
        (with(5, 14 << 10), "http2.head_too_large"),
        (Call::get(HOST, &format!("/{}", "p".repeat(17 << 10))), "http2.path_too_long"),
    ] {
        assert_eq!(client.call(call).await.status, 431, "{details}");
        let line = shop.gateway.access_line_with("431").await;
        assert!(line.contains(&format!(" 431 DPE {details} ")), "{line}");
    }
    assert_eq!(client.get(HOST, "/").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_large_download_is_no_flood() {
    let shop = shop().await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let reply = client.get(HOST, "/stream/64").await;
    assert_eq!(reply.body.len(), 64 << 20);
    assert_eq!(client.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_burst_of_small_messages_is_no_flood() {
    let shop = shop().await;
    let mut connection = FrameConnection::open(shop.gateway.address("http")).await.unwrap();
    // All that a client may send on a stream before it is told to go on, in one go.
    let mut bytes = encoded(HEADERS, END_HEADERS, 1, &head("/"));
    for _ in 0..3200 {
        bytes.extend(encoded(DATA, 0, 1, &[b'x'; 20]));
    }
    bytes.extend(encoded(DATA, END_STREAM, 1, b"x"));
    connection.send_bytes(&bytes).await.unwrap();
    let last = |frame: &Frame| {
        frame.kind == GOAWAY || (frame.kind == DATA && frame.flags & END_STREAM != 0)
    };
    let end = connection.next_where(last).await.unwrap();
    assert_eq!(end.kind, DATA, "{}", String::from_utf8_lossy(&end.payload));
    assert!(String::from_utf8_lossy(&end.payload).contains("\"body_length\":64001"));
}
