//! WebSockets over HTTP/1: what passes, what is refused, and what nobody can smuggle through.

use std::time::{Duration, Instant};

use portcullis_testkit::manifests::{
    edge_policy, http_gateway, http_server, https_server, join, route_to, service_entry,
    tls_secret, virtual_service, wasm_plugin,
};
use portcullis_testkit::{
    Certificates, RawConnection, Tls, WebSocketUpstream, manifests, websocket_handshake, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::guests::guest;
use crate::metrics::{metrics, sample};
use crate::shop::HOST;

/// What answers the key of [`websocket_handshake`], by RFC 6455.
const ACCEPT: &str = "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A gateway that sends everything to an upstream for WebSockets.
pub struct Scene {
    pub gateway: Gateway,
    pub upstream: WebSocketUpstream,
}

impl Scene {
    pub async fn open(arguments: &[&str]) -> Scene {
        Scene::open_with(&[], &route_to("chat.example", 80), arguments).await
    }

    /// With further manifests and these rules.
    pub async fn open_with(further: &[String], rules: &str, arguments: &[&str]) -> Scene {
        let upstream = WebSocketUpstream::start().await;
        let manifests = scene(&upstream, further, rules);
        Scene { gateway: Gateway::start_with(&manifests, arguments).await, upstream }
    }

    pub async fn connect(&self) -> RawConnection {
        RawConnection::connect(self.gateway.address("http")).await.unwrap()
    }

    /// Sends a handshake; the head of its answer.
    async fn shake(&self, path: &str) -> (RawConnection, String) {
        let mut connection = self.connect().await;
        connection.send(websocket_handshake(HOST, path)).await.unwrap();
        let head = connection.read_head().await;
        (connection, head)
    }

    /// A connection that has become a tunnel.
    async fn tunnel(&self, path: &str) -> RawConnection {
        let (connection, head) = self.shake(path).await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        connection
    }
}

fn scene(upstream: &WebSocketUpstream, further: &[String], rules: &str) -> String {
    let mut documents = further.to_vec();
    documents.push(http_gateway("shop", 80, &["*"]));
    documents.push(virtual_service("shop", "shop", &[HOST], rules));
    documents.push(service_entry("chat", "chat.example", 80, &[upstream.address]));
    join(&documents)
}

async fn echo(connection: &mut RawConnection, bytes: &[u8]) {
    connection.send(bytes).await.unwrap();
    assert_eq!(connection.read_exactly(bytes.len()).await.unwrap(), bytes);
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_line_comes_at_the_end() {
    let mut scene = Scene::open(&[]).await;
    let (mut connection, head) = scene.shake("/chat").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains(ACCEPT) && head.contains("\r\nx-portcullis-route: "), "{head}");
    assert!(head.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    // A masked frame, and bytes that are none.
    echo(&mut connection, &[0x81, 0x85, 1, 2, 3, 4, b'i', b'g', b'o', b'h', b'n']).await;
    echo(&mut connection, b"\r\n\r\n\0").await;
    connection.finish_sending().await.unwrap();
    assert_eq!(connection.read_to_close().await, b"[end]");
    let line = scene.gateway.access_line().await;
    assert!(line.contains("\"GET /chat HTTP/1.1\" 101 - via_upstream - \"-\" 16 21 "), "{line}");
    let seen = scene.upstream.seen();
    let head = &seen.heads[0];
    assert!(head.starts_with("GET /chat HTTP/1.1\r\nhost: shop.example\r\n"), "{head}");
    assert!(head.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
    assert_eq!(head.matches("pgrade").count(), 2, "{head}");
    assert!(head.contains("\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{head}");
}

#[tokio::test]
async fn much_passes_both_ways_at_once() {
    const MUCH: usize = 24 << 20;
    let scene = Scene::open(&[]).await;
    let stream = scene.tunnel("/chat").await.into_stream();
    let (mut reading, mut writing) = stream.into_split();
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n / 3 % 251) as u8).collect();
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
    });
    let mut got = Vec::with_capacity(MUCH + 5);
    within("the echo", reading.read_to_end(&mut got)).await.unwrap();
    sending.await.unwrap();
    assert!(got[..MUCH] == bytes && got[MUCH..] == *b"[end]");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_the_other_back() {
    let scene = Scene::open(&[]).await;
    let mut stream = scene.tunnel("/chat").await.into_stream();
    let before = scene.gateway.resident_kib();
    let piece = vec![7; 1 << 20];
    let mut sent = 0;
    // It stops when every buffer on the way there and back is full.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(2), stream.write(&piece)).await
    {
        sent += written.unwrap();
        assert!(sent < 256 << 20, "nobody holds it back");
    }
    let grown = scene.gateway.resident_kib() - before;
    assert!(grown < 10 << 10, "grew by {grown} KiB");
    let mut got = vec![0; sent];
    within("the echo", stream.read_exact(&mut got)).await.unwrap();
}

#[tokio::test]
async fn the_end_of_one_side_leaves_the_other_talking() {
    let scene = Scene::open(&[]).await;
    let mut connection = scene.tunnel("/bye").await;
    assert_eq!(connection.read_to_close().await, b"bye");
    connection.send("still here").await.unwrap();
    scene.upstream.until(|seen| seen.bytes == b"still here").await;
    drop(connection);
    scene.upstream.until(|seen| seen.ended == 1).await;
}

#[tokio::test]
async fn bytes_that_come_with_the_101_are_not_lost() {
    let scene = Scene::open(&[]).await;
    let mut connection = scene.tunnel("/greet").await;
    assert_eq!(connection.read_exactly(5).await.unwrap(), b"hello");
    echo(&mut connection, b"ho").await;
}

#[tokio::test]
async fn a_refusal_passes_and_the_connection_goes_on() {
    let mut scene = Scene::open(&[]).await;
    let (mut connection, head) = scene.shake("/refuse").await;
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    assert!(!head.contains("upgrade") && !head.contains("connection: "), "{head}");
    assert_eq!(connection.read_exactly(7).await.unwrap(), b"refused");
    let line = scene.gateway.access_line().await;
    assert!(line.contains("\"GET /refuse HTTP/1.1\" 403 - via_upstream "), "{line}");
    connection.send(websocket_handshake(HOST, "/ok")).await.unwrap();
    let head = connection.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(connection.read_exactly(9).await.unwrap(), b"no tunnel");
    connection.send(websocket_handshake(HOST, "/chat")).await.unwrap();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 101 "));
    echo(&mut connection, b"now").await;
    assert_eq!(scene.upstream.seen().connections, 1, "a refused upgrade leaves it to the next");
}

#[tokio::test]
async fn nothing_is_smuggled_behind_an_upgrade_that_was_not_granted() {
    let scene = Scene::open(&[]).await;
    let hidden = format!("GET /hidden HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    for (path, status) in [("/refuse", "403"), ("/ok", "200"), ("/other", "502")] {
        let before = scene.upstream.seen().heads.len();
        let sent = websocket_handshake(HOST, path) + &hidden;
        let reply = RawConnection::exchange(scene.gateway.address("http"), sent).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
        assert_eq!(scene.upstream.seen().heads.len(), before + 1);
    }
    assert!(scene.upstream.seen().bytes.is_empty());
}

#[tokio::test]
async fn no_byte_goes_upstream_before_the_101() {
    let scene = Scene::open(&["--workers", "1"]).await;
    let mut connection = scene.connect().await;
    connection.send(websocket_handshake(HOST, "/hold") + "early").await.unwrap();
    scene.upstream.until(|seen| seen.heads.len() == 1).await;
    connection.send(", too").await.unwrap();
    // The same worker has others to serve meanwhile.
    for _ in 0..20 {
        let (_, head) = scene.shake("/refuse").await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    }
    assert!(scene.upstream.seen().bytes.is_empty());
    scene.upstream.release();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(connection.read_exactly(10).await.unwrap(), b"early, too");
    let seen = scene.upstream.until(|seen| seen.bytes.len() == 10).await;
    assert_eq!(seen.bytes, b"early, too");
}

#[tokio::test]
async fn another_protocol_than_the_one_asked_for_is_no_upgrade() {
    let mut scene = Scene::open(&[]).await;
    let (mut connection, head) = scene.shake("/other").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    let line = scene.gateway.access_line().await;
    assert!(
        line.contains(" 502 UPE upstream_reset_before_response_started{protocol_error} "),
        "{line}"
    );
    scene.upstream.until(|seen| seen.ended == 1).await;
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    connection.read_exactly(length.parse().unwrap()).await.unwrap();
    connection.send(websocket_handshake(HOST, "/chat")).await.unwrap();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn upgrades_that_are_not_served_are_requests_like_any_other() {
    let scene = Scene::open(&[]).await;
    let get = "GET /ok HTTP/1.1\r\nhost: shop.example\r\n";
    let websocket = "connection: upgrade\r\nupgrade: websocket\r\n";
    for request in [
        format!(
            "{get}connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        ),
        format!("{get}connection: upgrade\r\nupgrade: TLS/1.0, irc\r\n\r\n"),
        format!("{get}upgrade: websocket\r\n\r\n"),
        format!("{get}connection: upgrade\r\n\r\n"),
        format!("{get}{websocket}content-length: 2\r\n\r\nhi"),
        format!("{get}{websocket}transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST{}{websocket}content-length: 2\r\n\r\nhi", get.trim_start_matches("GET")),
        format!("{}{websocket}\r\n", get.replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let mut connection = scene.connect().await;
        connection.send(&request).await.unwrap();
        let head = connection.read_head().await;
        assert!(head.contains(" 200 OK\r\n"), "{request}: {head}");
        assert!(!head.to_lowercase().contains("upgrade"), "{request}: {head}");
        let seen = scene.upstream.seen();
        let head = seen.heads.last().unwrap().to_lowercase();
        assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    }
}

#[tokio::test]
async fn plugins_see_a_handshake_and_its_answer() {
    let plugin = wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let scene = Scene::open_with(&[plugin], &route_to("chat.example", 80), &[]).await;
    let (mut connection, head) = scene.shake("/chat").await;
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nx-guest-mark: blue\r\n"),
        "{head}"
    );
    assert!(head.contains(ACCEPT), "{head}");
    echo(&mut connection, b"through").await;
    let seen = scene.upstream.seen();
    assert!(seen.heads[0].contains("\r\nx-guest-request: seen\r\n"), "{}", seen.heads[0]);
    let (mut connection, head) = scene.shake("/guest/denied").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(connection.read_exactly(15).await.unwrap(), b"denied by guest");
    assert_eq!(scene.upstream.seen().heads.len(), 1);
}

#[tokio::test]
async fn a_rule_can_match_an_upgrade() {
    let rules = "- match: [{headers: {upgrade: {exact: websocket}}}]\n  route:\n  - destination: {host: chat.example}\n- directResponse: {status: 200, body: {string: page}}\n";
    let scene = Scene::open_with(&[], rules, &[]).await;
    let mut connection = scene.tunnel("/").await;
    echo(&mut connection, b"chat").await;
    let get = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    let page = RawConnection::exchange(scene.gateway.address("http"), get).await;
    assert!(page.ends_with("page"), "{page}");
}

#[tokio::test]
async fn the_timeout_of_a_route_ends_with_the_handshake() {
    let rules = route_to("chat.example", 80) + "  timeout: 2s\n";
    let scene = Scene::open_with(&[], &rules, &[]).await;
    let (mut connection, begun) = (scene.tunnel("/chat").await, Instant::now());
    while begun.elapsed() < Duration::from_millis(2_500) {
        echo(&mut connection, b"tick").await;
    }
}

#[tokio::test]
async fn a_tunnel_outlives_the_configuration_that_opened_it() {
    let mut scene = Scene::open(&[]).await;
    let mut connection = scene.tunnel("/chat").await;
    let gone = "- directResponse: {status: 410}\n";
    let manifests = scene_without(&scene, gone);
    scene.gateway.apply(&manifests).await;
    echo(&mut connection, b"still open").await;
    let (_, head) = scene.shake("/chat").await;
    assert!(head.starts_with("HTTP/1.1 410 "), "{head}");
    echo(&mut connection, b"and still").await;
    // The workers are told in a moment.
    let let_go = async {
        let name = "portcullis_generations_alive";
        while sample(&metrics(&scene.gateway).await, name, &[]) > 1.0 {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the old generation", let_go).await;
    echo(&mut connection, b"to the end").await;
}

/// The scene with its upstream gone from the manifests.
fn scene_without(_: &Scene, rules: &str) -> String {
    join(&[http_gateway("shop", 80, &["*"]), virtual_service("shop", "shop", &[HOST], rules)])
}

#[tokio::test]
async fn a_drain_lets_a_tunnel_end_by_itself() {
    let mut scene = Scene::open(&["--drain-delay", "0s", "--drain-timeout", "1h"]).await;
    let mut connection = scene.tunnel("/chat").await;
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("draining").await;
    while RawConnection::connect(scene.gateway.address("http")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    echo(&mut connection, b"not done").await;
    connection.finish_sending().await.unwrap();
    assert_eq!(connection.read_to_close().await, b"[end]");
    assert!(scene.gateway.wait().await.success());
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" 101 - via_upstream "), "{line}");
}

#[tokio::test]
async fn the_drain_timeout_cuts_a_tunnel() {
    let mut scene = Scene::open(&["--drain-delay", "0s", "--drain-timeout", "200ms"]).await;
    let mut connection = scene.tunnel("/chat").await;
    echo(&mut connection, b"12345").await;
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("drain timeout").await;
    assert_eq!(connection.read_to_close().await, b"");
    assert!(scene.gateway.wait().await.success());
    scene.upstream.until(|seen| seen.ended == 1).await;
    let line = scene.gateway.access_line().await;
    assert!(line.contains("\"GET /chat HTTP/1.1\" 101 ") && line.contains("\" 5 5 "), "{line}");
}

#[tokio::test]
async fn a_side_that_fails_takes_the_other_with_it() {
    let mut scene = Scene::open(&[]).await;
    let mut connection = scene.tunnel("/reset").await;
    connection.send("x").await.unwrap();
    let mut stream = connection.into_stream();
    let error = within("the reset", stream.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" 101 UC upstream_reset_after_response_started "), "{line}");
    let stream = scene.tunnel("/chat").await.into_stream();
    stream.set_zero_linger().unwrap();
    drop(stream);
    scene.upstream.until(|seen| seen.ended == 2).await;
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" 101 DC ") && line.contains(" downstream_disconnect "), "{line}");
}

#[tokio::test]
async fn a_tunnel_over_tls() {
    let (upstream, certificates) =
        (WebSocketUpstream::start().await, Certificates::for_hosts(&[HOST]));
    let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
    let gateway = Gateway::start(&join(&[
        manifests::gateway("shop", &servers),
        virtual_service("shop", "shop", &["*"], &route_to("chat.example", 80)),
        service_entry("chat", "chat.example", 80, &[upstream.address]),
        tls_secret("shop", &certificates),
    ]))
    .await;
    let stream = TcpStream::connect(gateway.address("https")).await.unwrap();
    let mut stream = Tls::new(HOST, &certificates).connect(stream).await.unwrap();
    stream.write_all(websocket_handshake(HOST, "/chat").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let much = vec![5; 1 << 20];
    let (mut reading, mut writing) = tokio::io::split(stream);
    let sent = much.clone();
    let sending = tokio::spawn(async move {
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    within("the echo", reading.read_to_end(&mut got)).await.unwrap();
    sending.await.unwrap();
    assert!(got[..much.len()] == much && got.ends_with(b"[end]"));
}

#[tokio::test]
async fn many_tunnels_at_once() {
    let scene = Scene::open(&[]).await;
    let mut tunnels = Vec::new();
    for _ in 0..200 {
        tunnels.push(scene.tunnel("/chat").await);
    }
    for (n, tunnel) in tunnels.iter_mut().enumerate() {
        tunnel.send(format!("message {n:03}")).await.unwrap();
    }
    for (n, tunnel) in tunnels.iter_mut().enumerate() {
        let message = format!("message {n:03}");
        assert_eq!(tunnel.read_exactly(11).await.unwrap(), message.as_bytes());
    }
    assert_eq!(scene.upstream.seen().connections, 200, "none is shared");
    drop(tunnels);
    scene.upstream.until(|seen| seen.ended == 200).await;
    scene.tunnel("/chat").await;
    assert_eq!(scene.upstream.seen().connections, 201, "none is used again");
}

#[tokio::test]
async fn silence_is_the_one_deadline_of_a_tunnel() {
    let policy = edge_policy("chat", "{timeouts: {streamIdle: 1s, stalledBody: 1s}}");
    let mut scene = Scene::open_with(&[policy], &route_to("chat.example", 80), &[]).await;
    let mut connection = scene.tunnel("/chat").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        echo(&mut connection, b"tick").await;
    }
    assert_eq!(connection.read_to_close().await, b"");
    scene.upstream.until(|seen| seen.ended == 1).await;
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" 101 SI stream_idle_timeout "), "{line}");
}
