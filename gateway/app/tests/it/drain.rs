//! The end of the process: nothing in flight is lost.

use portcullis_testkit::{
    Call, Client, FrameConnection, RawConnection, frame, websocket_handshake, within,
};

use crate::shop::{HOST, Shop, TO_BLUE};
use crate::websocket::Scene;

/// Longer than any test.
const LONG: [&str; 2] = ["--drain-delay", "1h"];

#[tokio::test]
async fn sigterm_fails_readiness_at_once_and_goes_on_accepting() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let mut status = Client::http1(shop.gateway.side_port("status")).await.unwrap();
    assert_eq!(status.get("localhost", "/healthz/ready").await.status, 200);
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    let reply = status.get("localhost", "/healthz/ready").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "DRAINING"));
    for _ in 0..20 {
        let mut client = shop.connect().await;
        assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    }
}

#[tokio::test]
async fn http1_clients_are_told_to_close() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    assert_eq!(shop.get("/").await.header("connection"), "");
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    let mut fresh = shop.connect().await;
    for client in [&mut shop.client, &mut fresh] {
        let reply = client.get(HOST, "/").await;
        assert_eq!((reply.upstream(), reply.header("connection")), ("blue", "close"));
        closed(client).await;
    }
}

/// Waits until the gateway has closed a connection, or asked on HTTP/2 for no further streams.
async fn closed(client: &Client) {
    let closing = async {
        while !client.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    within("the end of a connection", closing).await;
}

#[tokio::test]
async fn http2_clients_are_told_to_go_away() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.status, 200);
    let mut stream = client.another_stream();
    let held = tokio::spawn(async move { stream.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    shop.blue.release();
    assert_eq!(held.await.unwrap().text(), "released", "a stream in flight is finished");
    closed(&client).await;
    let mut fresh = Client::h2c(shop.gateway.address("http")).await.unwrap();
    assert_eq!(fresh.get(HOST, "/").await.status, 200, "a new connection is served once");
    closed(&fresh).await;
}

#[tokio::test]
async fn streams_between_the_two_goaways_are_served() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let mut client = FrameConnection::open(shop.gateway.address("http")).await.unwrap();
    let get =
        |path| [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", path)];
    client.request(1, &get("/slow"), frame::END_STREAM).await.unwrap();
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    let first = client.next_where(|frame| frame.kind == frame::GOAWAY).await.unwrap();
    assert_eq!((first.number(0), first.number(4)), (u32::MAX >> 1, frame::NO_ERROR));
    // The client has not read it yet: its next request crosses it on the wire.
    client.request(3, &get("/"), frame::END_STREAM).await.unwrap();
    let ping = |frame: &portcullis_testkit::Frame| frame.kind == frame::PING && frame.flags == 0;
    let ping = client.next_where(ping).await.unwrap();
    let reply = client.next_where(|frame| frame.stream == 3).await.unwrap();
    assert_eq!(reply.kind, frame::HEADERS);
    client.send(frame::PING, frame::ACK, 0, &ping.payload).await.unwrap();
    let second = client.next_where(|frame| frame.kind == frame::GOAWAY).await.unwrap();
    assert_eq!((second.number(0), second.number(4)), (3, frame::NO_ERROR));
    shop.blue.release();
    let body = |frame: &portcullis_testkit::Frame| frame.kind == frame::DATA && frame.stream == 1;
    assert_eq!(client.next_where(body).await.unwrap().payload, b"released");
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn a_websocket_may_begin_during_the_delay() {
    let mut scene = Scene::open(&LONG).await;
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("draining").await;
    let mut connection = scene.connect().await;
    connection.send(websocket_handshake(HOST, "/chat")).await.unwrap();
    let head = connection.read_head().await;
    assert!(head.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
    assert!(!head.contains("close"), "{head}");
    connection.send("hello").await.unwrap();
    assert_eq!(connection.read_exactly(5).await.unwrap(), b"hello");
}

#[tokio::test]
async fn what_is_in_flight_is_finished_before_the_exit() {
    let mut shop = Shop::open_with(TO_BLUE, &["--drain-delay", "0s"]).await;
    let mut client = shop.connect().await;
    let held = tokio::spawn(async move { client.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    shop.blue.release();
    assert_eq!(held.await.unwrap().text(), "released");
    assert!(shop.gateway.wait().await.success());
    assert!(shop.gateway.log.iter().any(|line| line.contains("INFO drained")));
    let line = shop.gateway.access_line().await;
    assert!(line.contains("\"GET /slow HTTP/1.1\" 200 - via_upstream"), "{line}");
}

#[tokio::test]
async fn sigint_drains_without_the_delay() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    assert_eq!(shop.get("/").await.status, 200);
    shop.gateway.signal("INT");
    assert!(shop.gateway.wait().await.success());
    assert!(Client::http1(shop.gateway.address("http")).await.is_err());
}

#[tokio::test]
async fn connections_that_ask_for_nothing_hold_up_no_exit() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let address = shop.gateway.address("http");
    let silent = RawConnection::connect(address).await.unwrap();
    let mut h2 = Client::h2c(address).await.unwrap();
    for client in [&mut shop.client, &mut h2] {
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    shop.gateway.signal("INT");
    assert!(shop.gateway.wait().await.success());
    assert!(!shop.gateway.log.iter().any(|line| line.contains("drain timeout")));
    drop(silent);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let mut client = shop.connect().await;
    let held = tokio::spawn(async move { client.try_call(Call::get(HOST, "/slow")).await });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    shop.gateway.signal("TERM");
    assert!(shop.gateway.wait().await.success());
    assert!(held.await.unwrap().is_err());
    let line = shop.gateway.access_line().await;
    assert!(line.contains("\"GET /slow HTTP/1.1\" 0 DT shut_down"), "{line}");
}

#[tokio::test]
async fn what_outlasts_the_timeout_is_cut() {
    let arguments = ["--drain-delay", "0s", "--drain-timeout", "100ms"];
    let mut shop = Shop::open_with(TO_BLUE, &arguments).await;
    let mut client = shop.connect().await;
    let held = tokio::spawn(async move { client.try_call(Call::get(HOST, "/slow")).await });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("drain timeout").await;
    assert!(shop.gateway.wait().await.success());
    assert!(held.await.unwrap().is_err());
    let line = shop.gateway.access_line().await;
    assert!(
        line.contains("\"GET /slow HTTP/1.1\" 0 DT drain_timeout"),
        "not the client left: {line}"
    );
}

#[tokio::test]
async fn busy_clients_lose_no_request() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = shop.connect().await;
        clients.push(tokio::spawn(async move {
            while client.get(HOST, "/").await.header("connection") != "close" {}
        }));
    }
    shop.blue.until(|seen| seen.requests > 200).await;
    shop.gateway.signal("TERM");
    for client in clients {
        client.await.unwrap();
    }
    let log = shop.gateway.wait_for_log("draining").await;
    assert!(log.contains("delay=3600s"), "{log}");
}
