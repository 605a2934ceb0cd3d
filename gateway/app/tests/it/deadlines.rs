//! Who takes too long is sent away, told so where that is still possible, and disturbs nobody else.
//!
//! Nothing here measures how soon: other deadlines are minutes away, so what ends a connection is the one
//! that the test is about.

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_testkit::frame::{
    ACK, END_STREAM, GOAWAY, HEADERS, NO_ERROR, PING, RST_STREAM, SETTINGS,
};
use portcullis_testkit::manifests::{
    edge_policy, gateway, http_server, https_server, join, tls_secret, virtual_service,
};
use portcullis_testkit::{
    Call, Certificates, Client, Frame, FrameConnection, RawConnection, TestBody, Tls, Upstream,
};

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop, TO_BLUE, backends};

/// Bytes that come one at a time.
const DRIBBLE: Duration = Duration::from_millis(100);

/// A shop of one worker whose Gateway has this EdgePolicy, written as the fields of its `spec`.
pub async fn shop_with(spec: &str) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let policy = edge_policy("edge", &format!("{{{spec}}}"));
    let manifests = join(&[shop::manifests(TO_BLUE), backends(&blue, &green), policy]);
    let gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

async fn raw(shop: &Shop) -> RawConnection {
    RawConnection::connect(shop.gateway.address("http")).await.unwrap()
}

async fn frames(shop: &Shop) -> FrameConnection {
    FrameConnection::open(shop.gateway.address("http")).await.unwrap()
}

fn head(method: &'static str, path: &'static str) -> [(&'static str, &'static str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", HOST), (":path", path)]
}

fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n")
}

/// Sends a byte now and then for as long as anybody listens.
async fn dribble(connection: &mut RawConnection, byte: &str) {
    while connection.send(byte).await.is_ok() {
        tokio::time::sleep(DRIBBLE).await;
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let mut shop = shop_with("timeouts: {firstByte: 1s, requestHead: 5m}").await;
    shop.get("/first").await;
    for said in ["", "PRI * HT"] {
        let mut silent = raw(&shop).await;
        silent.send(said).await.unwrap();
        assert_eq!(silent.read_to_close().await, b"");
    }
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn a_stalled_tls_handshake_is_closed() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let manifests = join(&[
        gateway(
            "shop",
            &[https_server("https", 443, &["*"], "shop"), http_server("http", 80, &["*"])],
        ),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        backends(&blue, &blue),
        tls_secret("shop", &certificates),
        edge_policy("edge", "{timeouts: {tlsHandshake: 1s, firstByte: 5m}}"),
    ]);
    let gateway = Gateway::start(&manifests).await;
    // A record that ends before the ClientHello in it does.
    for said in [&b""[..], b"\x16\x03\x01\x01\x00\x01\x00"] {
        let mut stalled = RawConnection::connect(gateway.address("https")).await.unwrap();
        stalled.send(said).await.unwrap();
        stalled.read_to_close().await;
    }
    let tls = Tls::new(HOST, &certificates);
    let mut neighbour = Client::tls(gateway.address("https"), &tls).await.unwrap();
    assert_eq!(neighbour.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_dribbled_head_is_closed() {
    let mut shop = shop_with("timeouts: {firstByte: 5m, requestHead: 1s}").await;
    shop.get("/first").await;
    let mut slow = raw(&shop).await;
    slow.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx: ")).await.unwrap();
    dribble(&mut slow, "a").await;
    assert_eq!(shop.get("/neighbour").await.status, 200);
    assert_eq!(shop.blue.seen().requests, 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_not_before_its_time() {
    let mut shop = shop_with("timeouts: {idle: 2s}").await;
    let mut raw = raw(&shop).await;
    let before = Instant::now();
    raw.send(post("/", "content-length: 0\r\n")).await.unwrap();
    let reply = raw.read_to_close().await;
    assert!(before.elapsed() >= Duration::from_secs(2));
    assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n"));
    shop.client = shop.connect().await;
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn pings_do_not_keep_an_idle_connection() {
    let shop = shop_with("timeouts: {idle: 1s}").await;
    let mut connection = frames(&shop).await;
    connection.request(1, &head("GET", "/"), END_STREAM).await.unwrap();
    let mut pings = 0;
    loop {
        // Each one comes back, until the connection is told to go.
        connection.send(PING, 0, 0, &[7; 8]).await.unwrap();
        let answer = connection.next_where(|frame| matches!(frame.kind, PING | GOAWAY)).await;
        if answer.unwrap().kind == GOAWAY {
            break;
        }
        pings += 1;
        tokio::time::sleep(DRIBBLE).await;
    }
    assert!(pings > 1);
}

#[tokio::test]
async fn a_stalled_upload_is_408_and_ends_upstream() {
    let mut shop = shop_with("timeouts: {stalledBody: 1s, streamIdle: 5m}").await;
    shop.get("/first").await;
    let mut stalled = raw(&shop).await;
    stalled.send(post("/sink", "content-length: 10\r\n") + "abc").await.unwrap();
    let head = stalled.read_head().await;
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    stalled.read_to_close().await;
    let line = shop.gateway.access_line_with("/sink").await;
    assert!(line.contains(" 408 SI request_body_stalled "), "{line}");

    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let (writer, body) = TestBody::written();
    writer.send(Ok(Bytes::from_static(b"abc"))).await.unwrap();
    let reply = client.open(Call::post(HOST, "/sink", body)).await.unwrap();
    assert_eq!(reply.status(), 408);
    drop(reply);
    assert_eq!(client.get(HOST, "/same/connection").await.status, 200);
    drop(writer);

    assert_eq!(shop.get("/neighbour").await.status, 200);
    // The neighbour's alone is left.
    shop.blue.until(|seen| seen.open <= 1).await;
    assert_eq!(shop.blue.seen().uploaded, 6);
}

#[tokio::test]
async fn what_the_upstream_does_not_take_is_not_held_against_the_client() {
    let shop = shop_with("timeouts: {stalledBody: 1s, streamIdle: 5m, firstByte: 3s}").await;
    let mut client = shop.connect().await;
    let large = TestBody::repeated(64 << 20);
    let waiting =
        tokio::spawn(async move { client.try_call(Call::post(HOST, "/slow", large)).await });
    shop.blue.until(|seen| seen.held == 1).await;
    // Three seconds pass for somebody else.
    assert_eq!(raw(&shop).await.read_to_close().await, b"");
    assert_eq!(shop.blue.seen().held, 1);
    shop.blue.release();
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_is_noticed_though_nobody_reads_it() {
    let mut shop = shop_with("timeouts: {stalledBody: off, streamIdle: off}").await;
    let mut client = raw(&shop).await.into_stream();
    let head = post("/slow", "content-length: 1000000000\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    shop.blue.until(|seen| seen.held == 1).await;
    // Until every buffer on the way is full.
    let more = vec![0; 1 << 20];
    while timeout(10 * DRIBBLE, client.write_all(&more)).await.is_ok() {}
    client.set_zero_linger().unwrap();
    drop(client);
    let line = shop.gateway.access_line_with("/slow").await;
    assert!(line.contains(" DC downstream_remote_disconnect "), "{line}");
    shop.blue.release();
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_behind_what_it_said_ahead_of_its_turn() {
    let mut shop = shop_with("timeouts: {stalledBody: off, streamIdle: off}").await;
    let mut client = raw(&shop).await;
    client.send(format!("GET /slow HTTP/1.1\r\nhost: {HOST}\r\n\r\nG")).await.unwrap();
    shop.blue.until(|seen| seen.held == 1).await;
    drop(client);
    let line = shop.gateway.access_line_with("/slow").await;
    assert!(line.contains(" DC downstream_remote_disconnect "), "{line}");
    shop.blue.release();
}

#[tokio::test]
async fn a_reply_that_nobody_takes_is_cut_off() {
    let mut shop = shop_with("timeouts: {stalledBody: 1s, streamIdle: 5m}").await;
    shop.get("/first").await;
    let open = shop.blue.seen().open;
    let mut stalled = raw(&shop).await;
    let request = format!("GET /stream/64 HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    stalled.send(request).await.unwrap();
    assert!(stalled.read_head().await.starts_with("HTTP/1.1 200 "));
    let line = shop.gateway.access_line_with("/stream/64").await;
    assert!(line.contains(" 200 SI response_body_stalled "), "{line}");
    shop.blue.until(|seen| seen.open <= open).await;
    assert!(stalled.read_to_close().await.len() < 64 << 20);
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn a_zero_window_resets_its_stream_and_no_other() {
    let mut shop = shop_with("timeouts: {stalledBody: 1s, streamIdle: 5m}").await;
    shop.get("/first").await;
    let mut connection = frames(&shop).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    connection.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await.unwrap();
    connection.request(1, &head("GET", "/stream/1"), END_STREAM).await.unwrap();
    connection.request(3, &head("GET", "/slow"), END_STREAM).await.unwrap();
    let replied = connection.next_where(|frame| frame.kind == HEADERS).await.unwrap();
    assert_eq!(replied.stream, 1);
    let reset = connection.next_where(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!(reset.stream, 1);
    let line = shop.gateway.access_line_with("/stream/1").await;
    assert!(line.contains(" 200 SI response_body_stalled "), "{line}");
    shop.blue.release();
    let other = connection.next_where(|frame| frame.stream == 3).await.unwrap();
    assert_eq!(other.kind, HEADERS);
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let mut shop = shop_with("timeouts: {streamIdle: 1s}").await;
    for mut client in both(&shop).await {
        assert_eq!(client.get(HOST, "/slow").await.status, 504);
        let line = shop.gateway.access_line_with("/slow").await;
        assert!(line.contains(" 504 SI stream_idle_timeout "), "{line}");
        shop.blue.until(|seen| seen.held == 0).await;
    }
}

#[tokio::test]
async fn an_upstream_that_stalls_in_mid_reply_is_given_up() {
    let mut shop = shop_with("timeouts: {streamIdle: 1s}").await;
    for mut client in both(&shop).await {
        assert!(client.try_call(Call::get(HOST, "/drip")).await.is_err());
        let line = shop.gateway.access_line_with("/drip").await;
        assert!(line.contains(" 200 SI stream_idle_timeout "), "{line}");
        shop.blue.until(|seen| seen.held == 0).await;
    }
}

#[tokio::test]
async fn grpc_has_the_idle_timeout_alone() {
    let mut shop = shop_with("timeouts: {stalledBody: 1s, streamIdle: 3s}").await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let (writer, body) = TestBody::written();
    writer.send(Ok(Bytes::from_static(b"abc"))).await.unwrap();
    let call = Call::post(HOST, "/sink", body).header("content-type", "application/grpc");
    let _answered = client.try_call(call).await;
    let line = shop.gateway.access_line_with("/sink").await;
    assert!(line.contains(" SI stream_idle_timeout "), "{line}");
    drop(writer);
}

async fn both(shop: &Shop) -> [Client; 2] {
    let address = shop.gateway.address("http");
    [Client::http1(address).await.unwrap(), Client::h2c(address).await.unwrap()]
}

#[tokio::test]
async fn an_old_connection_ends_with_a_response_that_says_so() {
    let shop = shop_with("timeouts: {maxAge: 1s, idle: 5m}").await;
    let mut client = raw(&shop).await;
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let mut answers = 0;
    loop {
        client.send(&request).await.unwrap();
        let head = client.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "after {answers}: {head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        client.read_exactly(length).await.unwrap();
        if head.contains("connection: close\r\n") {
            break;
        }
        answers += 1;
        tokio::time::sleep(DRIBBLE).await;
    }
    assert!(answers > 1);
    assert_eq!(client.read_to_close().await, b"");
}

#[tokio::test]
async fn an_old_http2_connection_is_told_in_two_steps() {
    let shop = shop_with("timeouts: {maxAge: 1s, idle: 5m}").await;
    let mut connection = frames(&shop).await;
    connection.request(1, &head("GET", "/slow"), END_STREAM).await.unwrap();
    let is_goaway = |frame: &Frame| frame.kind == GOAWAY;
    let first = connection.next_where(is_goaway).await.unwrap();
    // No stream is excluded yet: some may be on their way.
    assert_eq!((first.number(0), first.number(4)), (u32::MAX >> 1, NO_ERROR));
    connection.request(3, &head("GET", "/late"), END_STREAM).await.unwrap();
    let ping = connection.next_where(|frame| frame.kind == PING).await.unwrap();
    connection.send(PING, ACK, 0, &ping.payload).await.unwrap();
    let mut late = None;
    let second = loop {
        let frame = connection.next().await.unwrap();
        match frame.kind {
            GOAWAY => break frame,
            HEADERS => late = Some(frame.stream),
            _ => {}
        }
    };
    assert_eq!((second.number(0), second.number(4)), (3, NO_ERROR));
    if late.is_none() {
        late = connection.next_where(|frame| frame.kind == HEADERS).await.map(|frame| frame.stream);
    }
    assert_eq!(late, Some(3));
    // What was under way is answered, however old the connection.
    shop.blue.release();
    let reply = connection.next_where(|frame| frame.kind == HEADERS).await.unwrap();
    assert_eq!(reply.stream, 1);
    assert_eq!(connection.next_where(|frame| frame.kind == HEADERS).await, None);
}

#[tokio::test]
async fn a_new_policy_applies_to_connections_that_are_there() {
    let mut shop = shop_with("timeouts: {idle: 5m}").await;
    let mut old = raw(&shop).await;
    old.send(post("/", "content-length: 0\r\n")).await.unwrap();
    old.read_head().await;
    let policy = edge_policy("edge", "{timeouts: {idle: 1s}}");
    let manifests = join(&[shop.manifests(TO_BLUE), policy]);
    shop.gateway.apply(&manifests).await;
    old.read_to_close().await;
}

/// A slow loris, R.U.D.Y. and a slow reader at a time, many of each, while others go on.
#[tokio::test]
async fn slow_clients_are_closed_while_others_go_on() {
    let timeouts = "timeouts: {firstByte: 2s, requestHead: 2s, stalledBody: 2s, streamIdle: 5m}";
    close_slow_clients(30, timeouts).await;
}

#[tokio::test]
#[ignore = "soak: a thousand slow clients, until each default deadline has passed"]
async fn soak_a_thousand_slow_clients_are_closed_while_others_go_on() {
    close_slow_clients(250, "timeouts: {streamIdle: 5m}").await;
}

/// So many of each kind; a neighbour on the same workers asks all the time, and is answered every time.
async fn close_slow_clients(each: usize, timeouts: &str) {
    let mut shop = shop_with(timeouts).await;
    let upload = post("/sink", "content-length: 100\r\n") + "x";
    let download = format!("GET /stream/64 HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let says = [String::new(), "GET / HTTP/1.1\r\n".to_owned(), upload, download];
    let mut slow = Vec::new();
    for said in says.iter().cycle().take(4 * each) {
        let mut connection = raw(&shop).await;
        connection.send(said).await.unwrap();
        slow.push((said.clone(), connection));
    }
    let (mut good, mut others) = (0, 0);
    let closed = tokio::spawn(async move {
        for (said, mut connection) in slow {
            if said.contains("/stream") {
                // It is cut while nothing is read of it, which the upstream shows.
                connection.read_head().await;
            } else {
                connection.read_to_close().await;
            }
        }
    });
    while !closed.is_finished() || others == 0 {
        others += 1;
        good += usize::from(shop.get("/neighbour").await.status == 200);
    }
    closed.await.unwrap();
    assert_eq!(good, others);
    // One that the neighbour uses is left.
    shop.blue.until(|seen| seen.open <= 1).await;
}

#[tokio::test]
#[ignore = "soak: rates are averaged over half a minute"]
async fn soak_dribblers_are_cut_off() {
    let mut shop = shop_with("timeouts: {stalledBody: 5m, streamIdle: 5m}").await;
    let mut slow = raw(&shop).await;
    slow.send(post("/sink", "content-length: 1000000\r\n")).await.unwrap();
    dribble(&mut slow, "x").await;
    let line = shop.gateway.access_line_with("/sink").await;
    assert!(line.contains(" 408 DT request_body_too_slow "), "{line}");
    let mut slow = raw(&shop).await;
    let request = format!("GET /stream/64 HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    slow.send(request).await.unwrap();
    while slow.read_exactly(1).await.is_ok() {
        tokio::time::sleep(DRIBBLE).await;
        if shop.blue.seen().open == 0 {
            break;
        }
    }
    let line = shop.gateway.access_line_with("/stream/64").await;
    assert!(line.contains(" 200 DT response_body_too_slow "), "{line}");
}
