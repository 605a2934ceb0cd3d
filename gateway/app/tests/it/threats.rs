//! Attacks byte by byte, from clients and from upstreams: what is answered, what the other side received, and that
//! a neighbour on another connection notices nothing. Those on heads are in `http1_strict` and `canonical`.

use std::net::SocketAddr;

use portcullis_testkit::frame::{DATA, END_STREAM, PROTOCOL_ERROR, RST_STREAM};
use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, FrameConnection, RawConnection, Upstream, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop};

const RULES: &str = "- match:\n  - uri: {prefix: /green}\n  route:\n  - destination: {host: green.example}\n\
                     - route:\n  - destination: {host: blue.example}\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// A gateway before an upstream that records every byte, and a neighbour who asks another upstream.
struct Scene {
    gateway: Gateway,
    connections: mpsc::UnboundedReceiver<String>,
    neighbour: Client,
    _green: Upstream,
}

impl Scene {
    /// The upstream answers `/N` with the reply of that number, and `/silent` never.
    async fn open(replies: &'static [&'static str]) -> Scene {
        let (address, connections) = record(replies).await;
        let green = Upstream::start("green");
        let manifests = join(&[
            shop::manifests(RULES),
            service_entry("blue", "blue.example", 80, &[address]),
            service_entry("green", "green.example", 80, &[green.address()]),
        ]);
        let gateway = Gateway::start(&manifests).await;
        let neighbour = Client::http1(gateway.address("http")).await.unwrap();
        Scene { gateway, connections, neighbour, _green: green }
    }

    async fn connect(&mut self) -> RawConnection {
        RawConnection::connect(self.gateway.address("http")).await.unwrap()
    }

    /// Sends bytes and reads until the gateway closes.
    async fn exchange(&mut self, bytes: &str) -> String {
        let mut connection = self.connect().await;
        // A refusal may come before the last byte is taken.
        let _refused = connection.send(bytes).await;
        let reply = String::from_utf8_lossy(&connection.read_to_close().await).into_owned();
        assert_eq!(self.neighbour.get(HOST, "/green").await.upstream(), "green");
        reply
    }

    /// All that the next connection to the upstream brought, which is over.
    async fn received(&mut self) -> String {
        within("the end of a connection", self.connections.recv()).await.unwrap()
    }
}

async fn record(replies: &'static [&'static str]) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let _test_over = seen.send(record_one(stream, replies).await);
            });
        }
    });
    (address, connections)
}

async fn record_one(mut stream: TcpStream, replies: &[&str]) -> String {
    let (mut bytes, mut answered) = (Vec::new(), false);
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&bytes);
        let is_whole = match text.contains("transfer-encoding: chunked\r\n") {
            true => text.ends_with("0\r\n\r\n"),
            false => text.contains("\r\n\r\n"),
        };
        if is_whole && !answered {
            answered = true;
            let path = text.split(' ').nth(1).unwrap_or("");
            if path == "/silent" {
                continue;
            }
            let number = path.trim_start_matches('/').parse().unwrap_or(0_usize);
            let _gone = stream.write_all(replies[number].as_bytes()).await;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What follows the head.
fn body_of(received: &str) -> &str {
    received.split_once("\r\n\r\n").unwrap().1
}

fn chunked(body: &str) -> String {
    format!(
        "POST /0 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn the_framing_of_a_body_is_written_anew() {
    let mut scene = Scene::open(&[OK]).await;
    let sent = "005;name=\"0\"\r\nhello\r\n0;last\r\nx-unannounced: 1\r\n\r\n";
    assert!(scene.exchange(&chunked(sent)).await.starts_with("HTTP/1.1 200 "));
    let received = scene.received().await;
    assert_eq!(body_of(&received), "5\r\nhello\r\n0\r\n\r\n", "{received}");
    let framing = ["transfer-encoding: chunked\r\n", "content-length", "connection", "trailer"];
    assert_eq!(framing.map(|field| received.matches(field).count()), [1, 0, 0, 0], "{received}");
}

#[tokio::test]
async fn a_body_whose_framing_breaks_never_comes_to_its_end_upstream() {
    let mut scene = Scene::open(&[OK]).await;
    for rest in
        ["zz\r\n", "5\r\nhelloGET /smuggled HTTP/1.1\r\n\r\n", "-1\r\n", "0\r\nx y: z\r\n\r\n"]
    {
        let reply = scene.exchange(&chunked(&format!("5\r\nfirst\r\n{rest}"))).await;
        assert!(
            reply.starts_with("HTTP/1.1 400 ") && reply.contains("connection: close"),
            "{reply}"
        );
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
        let received = scene.received().await;
        assert!(!received.contains("\r\n0\r\n") && !received.contains("smuggled"), "{received}");
    }
}

/// Each is a reply that two readers could understand differently, or none at all.
const MALFORMED: [&str; 16] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 02\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx-a: b\r\n folded\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx-a: b\nset-cookie: c\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx-a: b\rset-cookie: c\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/2 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "200 OK\r\n\r\n",
    "\0\0\0\0\r\n\r\n",
];

#[tokio::test]
async fn a_malformed_reply_is_502_and_its_connection_is_never_used_again() {
    let mut scene = Scene::open(&MALFORMED).await;
    let mut client = Client::http1(scene.gateway.address("http")).await.unwrap();
    for (number, reply) in MALFORMED.iter().enumerate() {
        let path = format!("/{number}");
        assert_eq!(client.get(HOST, &path).await.status, 502, "{reply:?}");
        let line = scene.gateway.access_line_with(&format!("GET {path} ")).await;
        assert!(line.contains(" 502 UPE "), "{reply:?}: {line}");
        let received = scene.received().await;
        assert_eq!(received.matches(" HTTP/1.1\r\n").count(), 1, "{reply:?}: {received}");
        assert!(received.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{received}");
        assert_eq!(scene.neighbour.get(HOST, "/green").await.upstream(), "green");
    }
}

#[tokio::test]
async fn the_rest_of_an_unwanted_body_is_read_within_reason() {
    let shop = Shop::open("- directResponse: {status: 403}\n").await;
    let mut neighbour = shop.connect().await;
    let next = "GET /next HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    // A small rest is read, a large one ends the connection: it is never taken for a request.
    for (length, replies) in [(10_usize, 2), (1 << 20, 1)] {
        let head =
            format!("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n\r\n");
        let mut connection = RawConnection::connect(shop.gateway.address("http")).await.unwrap();
        let body = next.repeat(length / next.len() + 1)[..length].to_owned();
        let _cut = connection.send(head + &body + next).await;
        let read = String::from_utf8_lossy(&connection.read_to_close().await).into_owned();
        assert_eq!(read.matches("HTTP/1.1 403 ").count(), replies, "{length}: {read}");
        assert_eq!(neighbour.get(HOST, "/").await.status, 403);
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn the_star_of_options_goes_as_it_is_and_no_prefix_takes_it() {
    let mut scene = Scene::open(&[OK]).await;
    let options =
        |host: &str| format!("OPTIONS * HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    assert!(scene.exchange(&options(HOST)).await.starts_with("HTTP/1.1 200 "));
    assert!(scene.received().await.starts_with("OPTIONS * HTTP/1.1\r\n"));
    assert!(scene.exchange(&options("other.example")).await.starts_with("HTTP/1.1 404 "));
    let shop =
        Shop::open("- match:\n  - uri: {prefix: /}\n  directResponse: {status: 200}\n").await;
    let reply = RawConnection::exchange(shop.gateway.address("http"), options(HOST)).await;
    assert!(reply.starts_with("HTTP/1.1 404 "), "{reply}");
}

#[tokio::test]
async fn each_value_of_a_header_is_matched_and_never_the_joined_one() {
    let rule = |condition: &str, says: &str| {
        format!(
            "- match:\n  - headers: {{x-role: {condition}}}\n  directResponse: {{status: 200, body: {{string: {says}}}}}\n"
        )
    };
    let rules = rule("{exact: admin}", "admin")
        + &rule("{prefix: sup}", "support")
        + "- directResponse: {status: 200, body: {string: nobody}}\n";
    let mut shop = Shop::open(&rules).await;
    for (values, says) in [
        (&["admin"][..], "admin"),
        (&["guest", "admin"], "admin"),
        (&["guest,admin"], "nobody"),
        (&["guest", "support"], "support"),
        (&["guest, support"], "nobody"),
        (&["adm", "in"], "nobody"),
        (&["admin\u{ff}"], "nobody"),
    ] {
        let call =
            values.iter().fold(Call::get(HOST, "/"), |call, value| call.header("x-role", value));
        assert_eq!(shop.client.call(call).await.text(), says, "{values:?}");
    }
}

#[tokio::test]
async fn a_length_that_lies_over_http2_completes_no_request_upstream() {
    let mut scene = Scene::open(&[OK]).await;
    for (said, sent) in [("5", "four"), ("3", "four")] {
        let mut connection = FrameConnection::open(scene.gateway.address("http")).await.unwrap();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/silent"),
            (":authority", HOST),
            ("content-length", said),
        ];
        connection.request(1, &fields, 0).await.unwrap();
        connection.send(DATA, END_STREAM, 1, sent.as_bytes()).await.unwrap();
        connection
            .request(3, &[&fields[..2], &[(":path", "/green"), fields[3]]].concat(), END_STREAM)
            .await
            .unwrap();
        let reset = connection.next_where(|frame| frame.kind == RST_STREAM).await.unwrap();
        assert_eq!((reset.stream, reset.number(0)), (1, PROTOCOL_ERROR), "{said}");
        let line = scene.gateway.access_line_with("/silent").await;
        assert!(!line.contains(" 200 "), "{line}");
        // It names our own address on the connection only if there was one.
        let has_connected = line.contains("outbound|80||blue.example 127.0.0.1:");
        if has_connected {
            let received = scene.received().await;
            let body = received.split_once("\r\n\r\n").map(|(_, body)| body.len().to_string());
            assert_ne!(body.as_deref(), Some(said), "{received}");
        }
        assert_eq!(scene.neighbour.get(HOST, "/green").await.upstream(), "green");
    }
}
