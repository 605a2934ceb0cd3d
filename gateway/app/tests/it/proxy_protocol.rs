//! PROXY headers before anything else: from a trusted load balancer they say who the client is, over every protocol;
//! from anybody else they are bytes like others.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{
    gateway, http_server, https_server, join, service_entry, tls_secret, virtual_service,
};
use portcullis_testkit::{Certificates, Client, RawConnection, RawUpstream, Tls, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, TO_BLUE};

const REQUEST: &str = "GET /a HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
const REPLY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const TRUSTED: [&str; 2] = ["--trusted-cidr", "127.0.0.0/8,::1/128"];
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2: command and family, then what follows.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_START, &[0x20 | command, family], &length, rest].concat()
}

fn v2_tcp4() -> Vec<u8> {
    v2(1, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80])
}

fn v2_tcp6(source: &str) -> Vec<u8> {
    let octets = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets();
    v2(1, 0x21, &[&octets(source)[..], &octets("::1"), &[0x12, 0x67, 0, 80]].concat())
}

/// A Gateway whose connections begin with a header as the annotation says, with everything going to `blue`.
fn manifests(annotation: &str, servers: &[String], blue: SocketAddr) -> String {
    let annotations = format!("  name: shop\n  annotations: {{{annotation}}}\n");
    join(&[
        gateway("shop", servers).replacen("  name: shop\n", &annotations, 1),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        service_entry("blue", "blue.example", 80, &[blue]),
    ])
}

/// A gateway in front of an upstream that shows every byte of a head.
struct Scene {
    gateway: Gateway,
    blue: RawUpstream,
    address: SocketAddr,
}

impl Scene {
    async fn open(policy: &str, arguments: &[&str]) -> Scene {
        let blue = RawUpstream::start(REPLY).await;
        let annotation = format!("portcullis.dev/proxy-protocol: {policy}");
        let manifests = manifests(&annotation, &[http_server("http", 80, &["*"])], blue.address);
        let format = ["--access-log", "log %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"];
        let gateway = Gateway::start_with(&manifests, &[arguments, &format].concat()).await;
        Scene { address: gateway.address("http"), gateway, blue }
    }

    /// Sends a header and a request: served, and upstream and log agree about the client.
    async fn serves(&mut self, header: &[u8], client: &str) {
        let shown = String::from_utf8_lossy(header).into_owned();
        let reply =
            RawConnection::exchange(self.address, [header, REQUEST.as_bytes()].concat()).await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{shown:?}: {reply}");
        let head = self.blue.next_head().await;
        assert!(head.starts_with("GET /a HTTP/1.1\r\n"), "{shown:?}: {head}");
        assert!(head.contains(&format!("\r\nx-forwarded-for: {client}\r\n")), "{shown:?}: {head}");
        assert_eq!(self.gateway.access_line().await, format!("log {client}"), "{shown:?}");
    }

    /// Sends bytes after which the connection is closed without an answer.
    async fn closes(&self, bytes: &[u8]) {
        let reply = RawConnection::exchange(self.address, bytes).await;
        assert_eq!(reply, "", "{:?}", String::from_utf8_lossy(bytes));
        assert!(self.blue.is_quiet());
    }
}

#[tokio::test]
async fn the_announced_client_is_the_client() {
    for policy in ["accept", "require"] {
        let mut scene = Scene::open(policy, &TRUSTED).await;
        scene.serves(V1, "192.0.2.1").await;
        scene.serves(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "2001:db8::1").await;
        scene.serves(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n", "192.0.2.7").await;
        scene.serves(&v2_tcp4(), "192.0.2.1").await;
        scene.serves(&v2_tcp6("2001:db8::2"), "2001:db8::2").await;
        // A load balancer that speaks for itself is its own client.
        scene.serves(b"PROXY UNKNOWN\r\n", "127.0.0.1").await;
        scene.serves(&v2(0, 0, &[]), "127.0.0.1").await;
        scene.serves(&v2(1, 0x31, &[0; 216]), "127.0.0.1").await;
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let mut scene = Scene::open("require", &TRUSTED).await;
    for header in [V1.to_vec(), v2_tcp4()] {
        let mut connection = RawConnection::connect(scene.address).await.unwrap();
        for byte in header {
            connection.send([byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        connection.send(REQUEST).await.unwrap();
        assert!(connection.read_head().await.starts_with("HTTP/1.1 200 "));
        assert!(scene.blue.next_head().await.contains("x-forwarded-for: 192.0.2.1\r\n"));
    }
}

#[tokio::test]
async fn what_is_required_and_does_not_come_closes_the_connection() {
    let mut scene = Scene::open("require", &TRUSTED).await;
    let mut neighbour = RawConnection::connect(scene.address).await.unwrap();
    neighbour.send(V1).await.unwrap();
    scene.closes(REQUEST.as_bytes()).await;
    scene.closes(b"PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\n\r\n").await;
    scene.closes(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\nGET / HTTP/1.1\r\n\r\n").await;
    scene.closes(&v2(3, 0x11, &[0; 12])).await;
    scene.closes(&v2(1, 0x11, &[0; 4])).await;
    scene.closes(&[V2_START, &[0x21, 0x11, 0xFF, 0xFF]].concat()).await;
    neighbour.send(REQUEST).await.unwrap();
    assert!(neighbour.read_head().await.starts_with("HTTP/1.1 200 "));
    assert!(scene.blue.next_head().await.contains("x-forwarded-for: 192.0.2.1\r\n"));
}

#[tokio::test]
async fn a_header_of_an_untrusted_peer_is_never_believed() {
    let mut scene = Scene::open("accept", &["--trusted-cidr", "10.0.0.0/8"]).await;
    scene.serves(b"", "127.0.0.1").await;
    for header in [V1.to_vec(), v2_tcp4()] {
        let bytes = [&header[..], REQUEST.as_bytes()].concat();
        let reply = RawConnection::exchange(scene.address, bytes).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
        assert!(scene.blue.is_quiet());
    }
    let mut scene = Scene::open("require", &["--trusted-hops", "1"]).await;
    let told = |line: &String| line.contains("warning[PC0505] Gateway/default/");
    assert!(scene.gateway.log.iter().any(told), "before anybody connects: {:?}", scene.gateway.log);
    scene.closes(&[V1, REQUEST.as_bytes()].concat()).await;
    scene
        .gateway
        .wait_for_log("a PROXY header is required, and this peer is in no --trusted-cidr")
        .await;
}

#[tokio::test]
async fn without_the_annotation_a_header_is_a_bad_request() {
    let scene = Scene::open("\"off\"", &TRUSTED).await;
    let reply = RawConnection::exchange(scene.address, [V1, REQUEST.as_bytes()].concat()).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(scene.blue.is_quiet());
}

#[tokio::test]
async fn accepting_loses_no_byte_of_those_who_send_no_header() {
    let mut scene = Scene::open("accept", &TRUSTED).await;
    scene.serves(b"", "127.0.0.1").await;
    let mut connection = RawConnection::connect(scene.address).await.unwrap();
    for piece in ["P", "RO", "PFIND /a HTTP/1.1\r\nhost: shop.example\r\n\r\n"] {
        connection.send(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(connection.read_head().await.starts_with("HTTP/1.1 200 "));
    assert!(scene.blue.next_head().await.starts_with("PROPFIND /a HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_the_announced_client_forwards_counts_only_if_it_is_trusted_too() {
    let mut scene = Scene::open("require", &TRUSTED).await;
    let request = REQUEST.replacen("\r\n\r\n", "\r\nx-forwarded-for: 203.0.113.9\r\n\r\n", 1);
    for (source, chain, client) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.9", "203.0.113.9,127.0.0.9", "203.0.113.9"),
    ] {
        let bytes = format!("PROXY TCP4 {source} 10.0.0.1 4711 80\r\n{request}");
        let reply = RawConnection::exchange(scene.address, bytes).await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        let head = scene.blue.next_head().await;
        assert!(head.contains(&format!("\r\nx-forwarded-for: {chain}\r\n")), "{head}");
        assert_eq!(scene.gateway.access_line().await, format!("log {client}"));
    }
}

#[tokio::test]
async fn a_header_comes_before_http2_and_before_tls() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
    for policy in ["accept", "require"] {
        let annotation = format!("portcullis.dev/proxy-protocol: {policy}");
        let manifests = join(&[
            manifests(&annotation, &servers, blue.address()),
            tls_secret("shop", &certificates),
        ]);
        let gateway = Gateway::start_with(&manifests, &TRUSTED).await;
        let (http, https) = (gateway.address("http"), gateway.address("https"));
        let tls = Tls::new(HOST, &certificates);
        for header in [V1.to_vec(), v2_tcp4()] {
            let mut clients = [
                Client::h2c_after(http, &header).await.unwrap(),
                Client::tls_after(https, &header, &tls).await.unwrap(),
                Client::tls_after(https, &header, &tls.clone().http2()).await.unwrap(),
            ];
            for client in &mut clients {
                let echo = client.get(HOST, "/").await.json();
                assert_eq!(echo["headers"]["x-forwarded-for"], "192.0.2.1");
            }
        }
        let without = Client::tls(https, &tls).await;
        assert_eq!(without.is_ok(), policy == "accept");
        assert!(Client::tls_after(https, b"PROX", &tls).await.is_err(), "no header, and no TLS");
    }
}

#[tokio::test]
async fn the_load_balancer_may_speak_ipv6() {
    let mut scene = Scene::open("require", &[&TRUSTED[..], &["--bind", "::1"]].concat()).await;
    assert!(scene.address.is_ipv6());
    scene.serves(&v2_tcp6("2001:db8::2"), "2001:db8::2").await;
    scene.serves(V1, "192.0.2.1").await;
    scene.serves(&v2(0, 0, &[]), "::1").await;
    // An IPv4 peer of a socket for both families is known as IPv4.
    let mut scene = Scene::open("require", &[&TRUSTED[..], &["--bind", "::"]].concat()).await;
    scene.address = SocketAddr::from(([127, 0, 0, 1], scene.address.port()));
    scene.serves(&v2(0, 0, &[]), "127.0.0.1").await;
}
