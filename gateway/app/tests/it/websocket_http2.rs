//! WebSockets over HTTP/2 by extended CONNECT (RFC 8441), HTTP/1 upstream.

use portcullis_testkit::manifests::{
    gateway, http_server, https_server, join, route_to, service_entry, tls_secret, virtual_service,
};
use portcullis_testkit::{
    Call, Certificates, Client, Http2Answer, Tls, WebSocketUpstream, http2_exchange, within,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::gateway::Gateway;
use crate::shop::HOST;
use crate::websocket::Scene;

fn handshake(path: &str) -> Call {
    Call::get(HOST, path).header("sec-websocket-version", "13")
}

/// A connection whose settings have come: only then may a client use `:protocol`.
async fn connect(scene: &Scene) -> Client {
    let mut client = Client::h2c(scene.gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/ok").await.status, 200);
    client
}

async fn tunnel(client: &mut Client, path: &str) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let (reply, tunnel) = client.extended_connect("websocket", handshake(path)).await.unwrap();
    assert_eq!(reply.status(), 200);
    tunnel.unwrap()
}

async fn echo(tunnel: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) {
    tunnel.write_all(bytes).await.unwrap();
    tunnel.flush().await.unwrap();
    let mut got = vec![0; bytes.len()];
    within("the echo", tunnel.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

#[tokio::test]
async fn a_stream_becomes_an_upgrade_of_http1() {
    let mut scene = Scene::open(&[]).await;
    let mut client = connect(&scene).await;
    let call = handshake("/chat?a=b").header("sec-websocket-protocol", "v1");
    let (reply, stream) = client.extended_connect("websocket", call).await.unwrap();
    assert_eq!(reply.status(), 200);
    for name in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
        assert!(!reply.headers().contains_key(name), "{reply:?}");
    }
    assert!(reply.headers().contains_key("x-portcullis-route"));
    let mut stream = stream.unwrap();
    echo(&mut stream, b"hello").await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within("the end", stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"[end]");
    let head = scene.upstream.seen().heads.remove(1);
    assert!(head.starts_with("GET /chat?a=b HTTP/1.1\r\nhost: shop.example\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: v1\r\n"), "{head}");
    assert!(head.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
    let line = scene.gateway.access_line_with("/chat").await;
    assert!(line.contains("\"GET /chat?a=b HTTP/2\" 101 - via_upstream - \"-\" 5 10 "), "{line}");
}

#[tokio::test]
async fn over_tls() {
    let (upstream, certificates) =
        (WebSocketUpstream::start().await, Certificates::for_hosts(&[HOST]));
    let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
    let gateway = Gateway::start(&join(&[
        gateway("shop", &servers),
        virtual_service("shop", "shop", &["*"], &route_to("chat.example", 80)),
        service_entry("chat", "chat.example", 80, &[upstream.address]),
        tls_secret("shop", &certificates),
    ]))
    .await;
    let tls = Tls::new(HOST, &certificates).http2();
    let mut client = Client::tls(gateway.address("https"), &tls).await.unwrap();
    assert_eq!(client.get(HOST, "/ok").await.status, 200);
    let mut stream = tunnel(&mut client, "/chat").await;
    echo(&mut stream, b"secret").await;
}

#[tokio::test]
async fn only_a_switch_is_a_tunnel() {
    let direct = "- match: [{uri: {exact: /direct}}]\n  directResponse: {status: 200, body: {string: page}}\n";
    let rules = direct.to_owned() + &route_to("chat.example", 80);
    let scene = Scene::open_with(&[], &rules, &[]).await;
    let mut client = connect(&scene).await;
    for (path, status) in
        [("/refuse", 403), ("/ok", 502), ("/other", 502), ("/bad-accept", 502), ("/direct", 502)]
    {
        let call = handshake(path);
        let (reply, stream) = client.extended_connect("websocket", call).await.unwrap();
        assert_eq!((reply.status().as_u16(), stream.is_none()), (status, true), "{path}");
    }
    let mut stream = tunnel(&mut client, "/chat").await;
    echo(&mut stream, b"goes on").await;
}

#[tokio::test]
async fn other_protocols_are_not_implemented_and_plain_connect_not_allowed() {
    let mut scene = Scene::open(&[]).await;
    let mut client = connect(&scene).await;
    for protocol in ["connect-udp", "webtransport", "WebSocket2"] {
        let call = Call::get(HOST, "/chat").header("content-type", "application/grpc");
        let (reply, stream) = client.extended_connect(protocol, call).await.unwrap();
        assert_eq!((reply.status().as_u16(), stream.is_none()), (501, true), "{protocol}");
    }
    let line = scene.gateway.access_line_with("CONNECT").await;
    assert!(line.contains(" 501 - connect_protocol_not_served "), "{line}");
    let address = scene.gateway.address("http");
    let fields = [(":method", "CONNECT"), (":authority", "other.example:443")];
    // HPACK has no index for 405.
    assert_eq!(http2_exchange(address, &fields).await, Http2Answer::Status(0));
    let line = scene.gateway.access_line_with("CONNECT").await;
    assert!(line.contains(" 501 ") || line.contains(" 405 - connect_not_allowed "), "{line}");
    assert_eq!(scene.upstream.seen().heads.len(), 1);
}

#[tokio::test]
async fn tunnels_and_requests_share_a_connection() {
    let scene = Scene::open(&[]).await;
    let mut client = connect(&scene).await;
    let mut tunnels = Vec::new();
    for _ in 0..50 {
        tunnels.push(tunnel(&mut client, "/chat").await);
    }
    for (n, stream) in tunnels.iter_mut().enumerate() {
        echo(stream, format!("message {n}").as_bytes()).await;
    }
    assert_eq!(client.get(HOST, "/ok").await.text(), "no tunnel");
    drop(tunnels);
    scene.upstream.until(|seen| seen.ended == 50).await;
}

#[tokio::test]
async fn much_passes_both_ways_at_once() {
    const MUCH: usize = 8 << 20;
    let scene = Scene::open(&[]).await;
    let mut client = connect(&scene).await;
    let (mut reading, mut writing) = tokio::io::split(tunnel(&mut client, "/chat").await);
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n / 3 % 251) as u8).collect();
    let mut got = Vec::new();
    let sending = async {
        writing.write_all(&bytes).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let reading = within("the echo", reading.read_to_end(&mut got));
    tokio::join!(sending, reading).1.unwrap();
    assert!(got[..MUCH] == bytes && got[MUCH..] == *b"[end]");
}

#[tokio::test]
async fn the_end_of_the_upstream_reaches_the_client() {
    let scene = Scene::open(&[]).await;
    let mut client = connect(&scene).await;
    let mut stream = tunnel(&mut client, "/bye").await;
    let mut got = Vec::new();
    within("the end", stream.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"bye");
    stream.write_all(b"still here").await.unwrap();
    scene.upstream.until(|seen| seen.bytes == b"still here").await;
    drop((stream, client));
    scene.upstream.until(|seen| seen.ended >= 1).await;
}

#[tokio::test]
async fn a_drain_lets_a_tunnel_end_by_itself() {
    let mut scene = Scene::open(&["--drain-delay", "0s", "--drain-timeout", "1h"]).await;
    let mut client = connect(&scene).await;
    let mut stream = tunnel(&mut client, "/chat").await;
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("draining").await;
    while Client::h2c(scene.gateway.address("http")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    echo(&mut stream, b"not done").await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within("the end", stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"[end]");
    assert!(scene.gateway.wait().await.success());
}
