//! TLS that is passed on: the server name chooses where to, and the certificate is the upstream's.

use portcullis_testkit::manifests::{
    gateway, https_server, join, server, service_entry, tcp_service, tls_secret, virtual_service,
};
use portcullis_testkit::{
    Authority, Call, Certificates, Client, Echo, RawConnection, Tls, TlsStream, Upstream, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, binary};
use crate::metrics::{metrics, sample};
use crate::shop::TO_BLUE;

/// Two upstreams behind one port: `a.test`, and all below `wild.test`.
struct Scene {
    gateway: Gateway,
    a: Certificates,
    wild: Certificates,
    _upstreams: [Echo; 2],
}

const PASSES_ON: &str = "tls: {mode: PASSTHROUGH}";

const RULES: &str = "\
tls:
- match: [{sniHosts: [a.test]}]
  route: [{destination: {host: a.internal}}]
- match: [{sniHosts: ['*.wild.test']}]
  route: [{destination: {host: wild.internal}}]
";

impl Scene {
    async fn open() -> Scene {
        let authority = Authority::new();
        let (a, wild) = (authority.issue(&["a.test"]), authority.issue(&["*.wild.test"]));
        let upstreams = [Echo::tls("a", &a).await, Echo::tls("wild", &wild).await];
        let servers =
            [server("tls", 443, "TLS", &["a.test", "*.wild.test", "none.test"], PASSES_ON)];
        let manifests = join(&[
            gateway("gw", &servers),
            tcp_service("pass", "gw", &["a.test", "*.wild.test"], RULES),
            service_entry("a", "a.internal", 443, &[upstreams[0].address]),
            service_entry("wild", "wild.internal", 443, &[upstreams[1].address]),
        ]);
        let gateway = Gateway::start(&manifests).await;
        Scene { gateway, a, wild, _upstreams: upstreams }
    }

    async fn connect(&self, tls: &Tls) -> std::io::Result<TlsStream<TcpStream>> {
        tls.connect(TcpStream::connect(self.gateway.address("tls")).await?).await
    }
}

/// The first line that comes.
async fn line(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut line = String::new();
    while !line.ends_with('\n') {
        line.push(char::from(within("a line", stream.read_u8()).await.unwrap()));
    }
    line
}

fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_certificate_is_the_upstreams_and_the_name_is_logged() {
    let mut scene = Scene::open().await;
    let tls = Tls::new("a.test", &scene.a).without_alpn();
    let mut stream = scene.connect(&tls).await.unwrap();
    assert_eq!(certificate(&stream), scene.a.leaf_der);
    assert_eq!(line(&mut stream).await, "a\n");
    stream.write_all(b"over TLS\n").await.unwrap();
    assert_eq!(line(&mut stream).await, "over TLS\n");
    stream.shutdown().await.unwrap();
    assert_eq!(line(&mut stream).await, "bye\n");
    // A close with unread bytes would reset it.
    within("the end", stream.read_to_end(&mut Vec::new())).await.unwrap();
    let logged = scene.gateway.access_line().await;
    assert!(logged.contains("\"- - -\" 0 - "), "no method, no status, no flag: {logged}");
    assert!(logged.contains("outbound|443||a.internal"), "{logged}");
    assert!(logged.ends_with(" a.test VirtualService/default/pass/tls[0]"), "{logged}");
}

#[tokio::test]
async fn the_most_specific_name_chooses_the_upstream() {
    let scene = Scene::open().await;
    let deep = Tls::new("x.wild.test", &scene.wild).without_alpn();
    for tls in [deep.clone(), deep.tls12()] {
        let mut stream = scene.connect(&tls).await.unwrap();
        assert_eq!(certificate(&stream), scene.wild.leaf_der);
        assert_eq!(line(&mut stream).await, "wild\n");
    }
}

#[tokio::test]
async fn a_name_that_nobody_takes_is_told_so() {
    let mut scene = Scene::open().await;
    for name in ["b.test", "none.test", "wild.test"] {
        let error = scene.connect(&Tls::new(name, &scene.a)).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{name}: {error}");
        let logged = scene.gateway.access_line().await;
        assert!(logged.contains(" 0 NR route_not_found ") && logged.contains(name), "{logged}");
    }
    let nameless = Tls::new("a.test", &scene.a).without_sni();
    let error = scene.connect(&nameless).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert!(scene.gateway.access_line().await.contains(" 0 NR "));
    let metrics = metrics(&scene.gateway).await;
    let labels = ["response_flags=\"NR\""];
    assert_eq!(sample(&metrics, "istio_tcp_connections_closed_total", &labels), 4.0);
}

#[tokio::test]
async fn the_nameless_go_where_every_name_goes() {
    let certificates = Certificates::for_hosts(&["any.test"]);
    let upstream = Echo::tls("any", &certificates).await;
    let rules =
        "tls:\n- match: [{sniHosts: ['*']}]\n  route: [{destination: {host: any.internal}}]\n";
    let gateway = Gateway::start(&join(&[
        gateway("gw", &[server("tls", 443, "TLS", &["*"], "tls: {}")]),
        tcp_service("pass", "gw", &["*"], rules),
        service_entry("any", "any.internal", 443, &[upstream.address]),
    ]))
    .await;
    for tls in
        [Tls::new("any.test", &certificates), Tls::new("any.test", &certificates).without_sni()]
    {
        let stream = TcpStream::connect(gateway.address("tls")).await.unwrap();
        let mut stream = tls.without_alpn().connect(stream).await.unwrap();
        assert_eq!(line(&mut stream).await, "any\n");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_closed_and_disturbs_nobody() {
    let mut scene = Scene::open().await;
    let mut neighbour = scene.connect(&Tls::new("a.test", &scene.a).without_alpn()).await.unwrap();
    assert_eq!(line(&mut neighbour).await, "a\n");
    let address = scene.gateway.address("tls");
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        &[0x80; 40],
    ] {
        let mut connection = RawConnection::connect(address).await.unwrap();
        connection.send(garbage).await.unwrap();
        assert_eq!(connection.read_to_close().await, b"");
        let logged = scene.gateway.access_line().await;
        assert!(logged.contains(" 0 DPE not_tls "), "{logged}");
    }
    neighbour.write_all(b"still here\n").await.unwrap();
    assert_eq!(line(&mut neighbour).await, "still here\n");
}

#[tokio::test]
async fn a_hello_may_dribble_but_not_for_ever() {
    let mut scene = Scene::open().await;
    // The first message of a real client, taken from one that talks to nobody.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = Tls::new("a.test", &scene.a).without_alpn();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let handshake = tokio::spawn(async move { tls.connect(client).await.map(drop) });
    let (mut server, _) = listener.accept().await.unwrap();
    let mut hello = vec![0; 5];
    server.read_exact(&mut hello).await.unwrap();
    hello.resize(5 + usize::from(u16::from_be_bytes([hello[3], hello[4]])), 0);
    server.read_exact(&mut hello[5..]).await.unwrap();
    handshake.abort();

    let mut dribbling = RawConnection::connect(scene.gateway.address("tls")).await.unwrap();
    for byte in &hello {
        dribbling.send([*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let reply = dribbling.read_exactly(6).await.unwrap();
    assert_eq!((reply[0], reply[5]), (22, 2), "a ServerHello: the upstream got every byte");

    let policy = "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {name: hurry}\n\
                  spec: {timeouts: {tlsHandshake: 1s}}\n";
    scene.gateway.write_file("policy.yaml", policy);
    scene.gateway.wait_for_generation().await;
    let mut stalled = RawConnection::connect(scene.gateway.address("tls")).await.unwrap();
    stalled.send(&hello[..40]).await.unwrap();
    assert_eq!(stalled.read_to_close().await, b"");
}

#[tokio::test]
async fn tls_ends_for_one_name_and_passes_for_another() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let (web, a) = (authority.issue(&["web.test"]), authority.issue(&["a.web.test"]));
    let upstream = Echo::tls("a", &a).await;
    let servers = [
        https_server("web", 443, &["web.test", "*.web.test"], "web"),
        server("tls", 443, "HTTPS", &["a.web.test"], PASSES_ON),
        server("db", 443, "TLS", &["db.web.test"], "tls: {mode: SIMPLE, credentialName: db}"),
    ];
    let db = authority.issue(&["db.web.test"]);
    let plain = Echo::plain("db").await;
    let rules = "\
tls:
- match: [{sniHosts: [a.web.test]}]
  route: [{destination: {host: a.internal}}]
tcp:
- route: [{destination: {host: db.internal}}]
";
    let gateway = Gateway::start(&join(&[
        gateway("gw", &servers),
        virtual_service("web", "gw", &["web.test"], TO_BLUE),
        tcp_service("pass", "gw", &["a.web.test", "db.web.test"], rules),
        service_entry("a", "a.internal", 443, &[upstream.address]),
        service_entry("db", "db.internal", 5432, &[plain.address]),
        service_entry("blue", "blue.example", 80, &[blue.address()]),
        tls_secret("web", &web),
        tls_secret("db", &db),
    ]))
    .await;
    let address = gateway.address("web");
    for tls in [Tls::new("web.test", &web), Tls::new("web.test", &web).http2()] {
        let mut client = Client::tls(address, &tls).await.unwrap();
        assert_eq!(client.certificate().unwrap(), web.leaf_der);
        assert_eq!(client.call(Call::get("web.test", "/")).await.upstream(), "blue");
        let other = client.call(Call::get("a.web.test", "/")).await;
        assert!(other.status.is_client_error(), "a name that is passed on is no HTTP here");
    }
    let connect = |name: &'static str, trusted| async move {
        let stream = TcpStream::connect(address).await.unwrap();
        Tls::new(name, trusted).without_alpn().connect(stream).await.unwrap()
    };
    let mut passed = connect("a.web.test", &a).await;
    assert_eq!(
        (certificate(&passed), line(&mut passed).await),
        (a.leaf_der.clone(), "a\n".to_owned())
    );
    let mut ended = connect("db.web.test", &db).await;
    assert_eq!(
        (certificate(&ended), line(&mut ended).await),
        (db.leaf_der.clone(), "db\n".to_owned())
    );
    ended.write_all(b"select 1\n").await.unwrap();
    assert_eq!(line(&mut ended).await, "select 1\n");
    ended.shutdown().await.unwrap();
    assert_eq!(line(&mut ended).await, "bye\n");
    let protocols: Vec<_> = gateway.ready()["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|listener| listener["protocol"].as_str().unwrap())
        .collect();
    assert_eq!(protocols, ["HTTPS", "TLS", "TLS"]);
}

#[tokio::test]
async fn explain_tells_where_a_connection_goes() {
    let scene = Scene::open().await;
    let explain = |url: &str| {
        let output = std::process::Command::new(binary())
            .args(["explain", "--output", "json", "--config"])
            .arg(scene.gateway.config())
            .arg(url)
            .output()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let found = explain("https://x.wild.test/");
    assert_eq!(found["outcome"], "forward");
    assert_eq!(found["listener"], "Gateway/default/gw/tls");
    assert_eq!(found["route"], "VirtualService/default/pass/tls[1]");
    assert_eq!(found["clusters"][0]["name"], "outbound|443||wild.internal");
    assert_eq!(explain("https://none.test/")["outcome"], "not_found");
}
