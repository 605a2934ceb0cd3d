//! TLS to upstreams: whom the gateway trusts, who it is, and that it never speaks in plain text where TLS is asked for.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_testkit::manifests::{
    gateway, http_gateway, join, route_to, secret, server, service_entry, tcp_service,
    virtual_service,
};
use portcullis_testkit::{
    Authority, Call, Certificates, Client, Echo, RawConnection, Subject, TlsUpstream, Upstream,
    WebSocketUpstream, websocket_handshake, within,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::{HOST, TO_BLUE};

/// Where everything goes.
const BLUE: &str = "blue.example";

/// A DestinationRule for [`BLUE`] with this policy.
fn rule(policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\nspec:\n  host: {BLUE}\n  trafficPolicy: {{{policy}}}\n"
    )
}

/// Everything to one endpoint under a policy.
fn manifests(endpoint: SocketAddr, policy: &str) -> String {
    join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        service_entry("blue", BLUE, 80, &[endpoint]),
        rule(policy),
    ])
}

/// The same, with authorities in the Secret `blue`.
fn trusting(endpoint: SocketAddr, authorities: &str, policy: &str) -> String {
    join(&[manifests(endpoint, policy), secret("blue", &[("ca.crt", authorities)])])
}

const SIMPLE: &str = "tls: {mode: SIMPLE, credentialName: blue, sni: blue.example}";

async fn client(gateway: &Gateway) -> Client {
    Client::http1(gateway.address("http")).await.unwrap()
}

/// The directory of the mesh's certificates.
struct Mesh {
    directory: TempDir,
}

impl Mesh {
    fn with(own: &Certificates, authorities: &str) -> Self {
        let mesh = Mesh { directory: tempfile::tempdir().unwrap() };
        mesh.put("root-cert.pem", authorities);
        mesh.put_pair(own);
        mesh
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    /// Replaces a file by renaming.
    fn put(&self, name: &str, pem: &str) {
        replace(&self.directory.path().join(name), pem);
    }

    /// The key first: in between, the pair does not fit.
    fn put_pair(&self, own: &Certificates) {
        self.put("key.pem", &own.key_pem);
        self.put("cert-chain.pem", &own.chain_pem);
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn workload(name: &str) -> Subject {
    Subject::new(&[]).uri(&format!("spiffe://cluster.local/ns/shop/sa/{name}"))
}

#[tokio::test]
async fn requests_go_over_tls_on_connections_that_are_kept() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[BLUE]));
    let front = TlsUpstream::start(blue.address(), &certificates);
    let manifests = trusting(front.address(), &certificates.ca_pem, SIMPLE);
    let gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
    let mut client = client(&gateway).await;
    for _ in 0..5 {
        let reply = client.call(Call::post(HOST, "/a", "hello")).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["body"]), (200, &"hello".into()));
    }
    let reply = client.get(HOST, "/stream/4").await;
    assert_eq!(reply.body.len(), 4 << 20);
    let reply = client.call(Call::post(HOST, "/sink", vec![b'x'; 3 << 20])).await;
    assert_eq!(reply.json()["body_length"], 3 << 20);
    let seen = front.seen();
    assert_eq!((seen.made, seen.server_name.as_deref()), (1, Some(BLUE)));
    blue.disconnect().await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    assert_eq!(front.seen().resumed, 1, "the next handshake resumes the session");
}

#[tokio::test]
async fn without_sni_the_requests_own_host_is_asked_for_and_has_to_be_proved() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let front = TlsUpstream::start(blue.address(), &certificates);
    let policy = "tls: {mode: SIMPLE, credentialName: blue}";
    let manifests = trusting(front.address(), &certificates.ca_pem, policy);
    let mut gateway = Gateway::start(&manifests).await;
    let mut client = client(&gateway).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    assert_eq!(front.seen().server_name.as_deref(), Some(HOST));
    assert_eq!(client.get("other.example", "/").await.status, 503);
    let line = gateway.access_line_with(" 503 UF ").await;
    assert!(line.contains("wanted other.example, found shop.example"), "{line}");
}

/// As [`trusting`], to a port of HTTP/2.
fn trusting_http2(endpoint: SocketAddr, authorities: &str) -> String {
    let entry = service_entry("blue", BLUE, 80, &[endpoint]);
    let http2 = entry.replace("protocol: HTTP}", "protocol: HTTP2}");
    trusting(endpoint, authorities, SIMPLE).replace(&entry, &http2)
}

#[tokio::test]
async fn http2_goes_over_tls_where_the_peer_agrees_to_it() {
    let blue = Upstream::start_http2("blue");
    let certificates = Certificates::for_hosts(&[BLUE]);
    let front = TlsUpstream::start(blue.address(), &certificates);
    let front = front.speaking(&certificates, None, &["h2", "http/1.1"]);
    let manifests = trusting_http2(front.address(), &certificates.ca_pem);
    let gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
    let mut client = client(&gateway).await;
    for _ in 0..5 {
        let reply = client.call(Call::post(HOST, "/a", "hello")).await;
        let echo = reply.json();
        assert_eq!((&echo["body"], &echo["version"]), (&"hello".into(), &"HTTP/2.0".into()));
    }
    assert_eq!(client.get(HOST, "/stream/4").await.body.len(), 4 << 20);
    let reply = client.call(Call::post(HOST, "/sink", vec![b'x'; 3 << 20])).await;
    assert_eq!(reply.json()["body_length"], 3 << 20);
    let seen = front.seen();
    assert_eq!((seen.made, seen.protocol.as_deref()), (1, Some("h2")), "one connection for all");
}

#[tokio::test]
async fn a_peer_that_does_not_agree_to_http2_is_not_spoken_to() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[BLUE]));
    // The one picks nothing, the other knows only the old one.
    for protocols in [&[][..], &["http/1.1"]] {
        let front = TlsUpstream::start(blue.address(), &certificates);
        let front = front.speaking(&certificates, None, protocols);
        let manifests = trusting_http2(front.address(), &certificates.ca_pem);
        let mut gateway = Gateway::start(&manifests).await;
        let mut client = client(&gateway).await;
        assert_eq!(client.get(HOST, "/").await.status, 503);
        let line = gateway.access_line().await;
        assert!(line.contains(" 503 UF"), "{protocols:?}: {line}");
        let reason = if protocols.is_empty() { "does not speak HTTP/2" } else { "(ALPN)" };
        assert!(line.contains(reason), "{protocols:?}: {line}");
    }
    assert_eq!(blue.seen().requests, 0);
}

/// One way in which an upstream is not whom we trust.
async fn refused(endpoint: SocketAddr, authorities: &str, policy: &str, reason: &str) {
    let mut gateway = Gateway::start(&trusting(endpoint, authorities, policy)).await;
    let mut client = client(&gateway).await;
    for call in [Call::get(HOST, "/secret"), Call::post(HOST, "/secret", "secret")] {
        assert_eq!(client.call(call).await.status, 503, "{reason}");
        let line = gateway.access_line().await;
        assert!(line.contains(" 503 UF") && line.contains(reason), "{reason}: {line}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_trusted_gets_nothing_and_the_log_says_why() {
    let (blue, ours) = (Upstream::start("blue"), Authority::new());
    let subject = || Subject::new(&[BLUE]);
    let good = ours.issue_to(&subject());
    let list = ours.revoke(&[4711]);
    let directory = tempfile::tempdir().unwrap();
    replace(&directory.path().join("ca.pem"), &ours.pem());
    replace(&directory.path().join("crl.pem"), &list);
    let in_files = format!(
        "tls: {{mode: SIMPLE, sni: blue.example, caCertificates: {0}/ca.pem, caCrl: {0}/crl.pem}}",
        directory.path().display()
    );
    let named = "tls: {mode: SIMPLE, credentialName: blue, sni: blue.example, subjectAltNames: ['spiffe://a/b']}";
    for (certificates, policy, reason) in [
        (ours.issue_to(&subject().expired()), SIMPLE, "certificate expired on 2021-01-01"),
        (
            ours.issue(&["green.example"]),
            SIMPLE,
            "wrong name: wanted blue.example, found green.example",
        ),
        (good.clone(), named, "wrong name: wanted spiffe://a/b, found blue.example"),
        (Authority::new().issue(&[BLUE]), SIMPLE, "certificate of an unknown authority"),
        (Certificates::self_signed(&[BLUE]), SIMPLE, "self-signed certificate"),
        (ours.issue_to(&subject().serial(4711)), &in_files, "certificate revoked (1267)"),
    ] {
        let front = TlsUpstream::start(blue.address(), &certificates);
        refused(front.address(), &ours.pem(), policy, reason).await;
    }
    refused(blue.address(), &ours.pem(), SIMPLE, "the peer does not speak TLS").await;
    let front = TlsUpstream::start_mutual(blue.address(), &good, &ours.pem());
    refused(front.address(), &ours.pem(), SIMPLE, "asks for a client certificate").await;
    assert_eq!(blue.seen().requests, 0);
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let policy = format!("{SIMPLE}, connectionPool: {{tcp: {{connectTimeout: 200ms}}}}");
    let authority = Authority::new().pem();
    refused(silent.local_addr().unwrap(), &authority, &policy, "handshake timeout").await;
}

#[tokio::test]
async fn tls_that_cannot_be_had_is_answered_with_503_until_it_can() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[BLUE]));
    let front = TlsUpstream::start(blue.address(), &certificates);
    let mut gateway = Gateway::start(&manifests(front.address(), SIMPLE)).await;
    let mut client = client(&gateway).await;
    assert_eq!(client.get(HOST, "/").await.status, 503);
    let line = gateway.access_line().await;
    assert!(line.contains(" UF ") && line.contains("there is no Secret/default/blue"), "{line}");
    gateway.apply(&trusting(front.address(), &certificates.ca_pem, SIMPLE)).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    // What was good stays when what follows is not.
    gateway.apply(&trusting(front.address(), "nonsense", SIMPLE)).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_cluster_that_gets_tls_is_not_reached_by_old_plain_connections() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[BLUE]));
    let plain = manifests(blue.address(), "tls: {mode: DISABLE}");
    let mut gateway = Gateway::start(&plain).await;
    let mut client = client(&gateway).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    gateway.apply(&trusting(blue.address(), &certificates.ca_pem, SIMPLE)).await;
    assert_eq!(client.get(HOST, "/").await.status, 503);
    assert_eq!(blue.seen().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_under_load_and_a_mismatched_pair_is_refused() {
    let (blue, mesh) = (Upstream::start("blue"), Authority::new());
    let (first, second) =
        (mesh.issue_to(&workload("gateway")), mesh.issue_to(&workload("gateway")));
    let peer = mesh.issue_to(&workload("blue"));
    let front = TlsUpstream::start_mutual(blue.address(), &peer, &mesh.pem());
    let files = Mesh::with(&first, &mesh.pem());
    let manifests = manifests(front.address(), "tls: {mode: ISTIO_MUTUAL}");
    let mut gateway = Gateway::start_with(&manifests, &["--mesh-certificates", files.path()]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let (mut client, stopped) = (client(&gateway).await, stopped.clone());
        asking.spawn(async move {
            let mut asked = 0;
            while !*stopped.borrow() {
                let reply = client.call(Call::post(HOST, "/", "hello")).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                asked += 1;
            }
            asked
        });
    }
    let seen = front.until(|seen| seen.made > 0).await;
    assert_eq!(seen.client.as_ref(), Some(&first.leaf_der));
    assert_eq!(seen.server_name.as_deref(), Some("outbound_.80_._.blue.example"));
    // A key alone fits nothing: what was had goes on.
    files.put("key.pem", &second.key_pem);
    gateway.wait_for_log("does not belong to the certificate").await;
    let before = blue.seen().requests;
    blue.until(|seen| seen.requests > before + 50).await;
    assert_eq!(front.seen().client.as_ref(), Some(&first.leaf_der));
    files.put("cert-chain.pem", &second.chain_pem);
    front.until(|seen| seen.client.as_ref() == Some(&second.leaf_der)).await;
    let before = blue.seen().requests;
    blue.until(|seen| seen.requests > before + 50).await;
    stop.send(true).unwrap();
    let asked: usize = asking.join_all().await.into_iter().sum();
    assert_eq!(blue.seen().requests, asked, "each was executed once");
}

#[tokio::test]
async fn bytes_pass_over_tls() {
    let certificates = Certificates::for_hosts(&[BLUE]);
    let echo = Echo::plain("echo").await;
    let front = TlsUpstream::start(echo.address, &certificates);
    let gateway = Gateway::start(&join(&[
        gateway("shop", &[server("tcp", 80, "TCP", &["*"], "")]),
        tcp_service("shop", "shop", &["*"], &format!("tcp:\n{}", route_to(BLUE, 80))),
        service_entry("blue", BLUE, 80, &[front.address()]),
        rule("tls: {mode: SIMPLE, credentialName: blue}"),
        secret("blue", &[("ca.crt", &certificates.ca_pem)]),
    ]))
    .await;
    let mut raw = RawConnection::connect(gateway.address("tcp")).await.unwrap();
    raw.send("hello").await.unwrap();
    assert_eq!(raw.read_exactly(10).await.unwrap(), b"echo\nhello");
    raw.finish_sending().await.unwrap();
    assert_eq!(raw.read_to_close().await, b"bye\n");
    assert_eq!(front.seen().server_name.as_deref(), Some(BLUE), "there is no authority");
}

#[tokio::test]
async fn websockets_pass_over_tls() {
    let certificates = Certificates::for_hosts(&[BLUE]);
    let sockets = WebSocketUpstream::start().await;
    let front = TlsUpstream::start(sockets.address, &certificates);
    let manifests = trusting(front.address(), &certificates.ca_pem, SIMPLE);
    let gateway = Gateway::start(&manifests).await;
    let mut raw = RawConnection::connect(gateway.address("http")).await.unwrap();
    raw.send(websocket_handshake(HOST, "/greet")).await.unwrap();
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(raw.read_exactly(5).await.unwrap(), b"hello");
    let much = vec![7; 1 << 20];
    let (mut reading, mut writing) = raw.into_stream().into_split();
    let sending = async {
        writing.write_all(&much).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (read, ()) = tokio::join!(reading.read_to_end(&mut back), sending);
    read.unwrap();
    assert!(back.strip_suffix(b"[end]") == Some(&much), "{} bytes", back.len());
}

/// An upstream's side of a connection: what came before HTTP, then as many requests as come.
async fn serve_after_header(mut stream: TcpStream, header: usize) -> Vec<u8> {
    let mut before = vec![0; header];
    stream.read_exact(&mut before).await.unwrap();
    tokio::spawn(async move {
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                let reply = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        }
    });
    before
}

/// A request and the head of its reply.
async fn get(client: &mut TcpStream) -> String {
    client.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_proxy_header_tells_each_client_apart() {
    for (version, length, begins) in [
        ("V1", 0, &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]),
        ("V2", 28, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let policy = format!("proxyProtocol: {{version: {version}}}");
        let manifests = manifests(listener.local_addr().unwrap(), &policy);
        let gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
        let listening = gateway.address("http").port();
        for _ in 0..2 {
            let mut client = TcpStream::connect(gateway.address("http")).await.unwrap();
            let port = client.local_addr().unwrap().port();
            // The line of the text says the ports, of a length that is known.
            let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {listening}\r\n");
            let length = if length == 0 { line.len() } else { length };
            let upstream = async {
                let (stream, _) = listener.accept().await.unwrap();
                serve_after_header(stream, length).await
            };
            let (reply, header) = tokio::join!(get(&mut client), upstream);
            assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
            assert!(header.starts_with(begins), "{header:?}");
            let ports = [port.to_be_bytes(), listening.to_be_bytes()].concat();
            assert!(header == line.as_bytes() || header.ends_with(&ports), "{header:?}");
            // On the same connection again, or this would wait for ever.
            within("the reply", get(&mut client)).await;
        }
    }
}
