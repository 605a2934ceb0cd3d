//! What an ALB says of its clients: believed from a trusted peer, and from nobody else. The upstream's head is shown
//! byte for byte.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{
    gateway, http_server, join, route_to, service_entry, virtual_service,
};
use portcullis_testkit::{Call, Client, RawConnection, RawUpstream, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, TO_BLUE};

const REPLY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
/// Loopback plays the load balancer's subnet.
const ALB: [&str; 4] = ["--topology", "alb", "--trusted-cidr", "127.0.0.0/8,::1/128"];

/// What an ALB adds to a request, or a client that plays one.
const SAID: &str = "x-forwarded-for: 203.0.113.66, 192.0.2.1\r\n\
    x-forwarded-proto: https\r\n\
    x-forwarded-port: 443\r\n\
    x-forwarded-host: evil.example\r\n\
    forwarded: for=203.0.113.66\r\n\
    x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678\r\n\
    x-amzn-oidc-data: e30=.e30=.c2ln\r\n\
    x-amzn-oidc-identity: alice\r\n\
    x-amzn-oidc-accesstoken: token\r\n\
    x-amzn-mtls-clientcert: -----BEGIN\r\n\
    x-amzn-mtls-clientcert-leaf: -----BEGIN\r\n\
    x-amzn-mtls-clientcert-subject: CN=alice\r\n\
    x-amzn-mtls-clientcert-issuer: CN=ca\r\n\
    x-amzn-mtls-clientcert-serial-number: 01\r\n\
    x-amzn-mtls-clientcert-validity: NotBefore=2026-01-01T00:00:00Z;NotAfter=2027-01-01T00:00:00Z\r\n\
    x-forwarded-client-cert: By=spiffe://evil\r\n\
    x-envoy-internal: true\r\n\
    x-envoy-external-address: 203.0.113.66\r\n\
    x-portcullis-route: evil\r\n";

/// A gateway in front of an upstream that shows every byte of a head.
struct Scene {
    gateway: Gateway,
    blue: RawUpstream,
    address: SocketAddr,
}

impl Scene {
    async fn open(arguments: &[&str]) -> Scene {
        let blue = RawUpstream::start(REPLY).await;
        let manifests = manifests(&http_server("http", 80, &["*"]), TO_BLUE, blue.address);
        let format = ["--access-log", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"];
        let gateway = Gateway::start_with(&manifests, &[arguments, &format].concat()).await;
        Scene { address: gateway.address("http"), gateway, blue }
    }

    /// Sends a request with these lines; the lines that the upstream gets, sorted, without the request's id.
    async fn lines_for(&mut self, said: &str) -> Vec<String> {
        let request = format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\n{said}\r\n");
        let mut connection = RawConnection::connect(self.address).await.unwrap();
        connection.send(request).await.unwrap();
        let reply = connection.read_head().await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{said}: {reply}");
        self.next_lines().await
    }

    async fn next_lines(&mut self) -> Vec<String> {
        let head = self.blue.next_head().await;
        let lines =
            head.trim_end().split("\r\n").filter(|line| !line.starts_with("x-request-id: "));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn manifests(server: &str, rules: &str, blue: SocketAddr) -> String {
    join(&[
        gateway("shop", &[server.to_owned()]),
        virtual_service("shop", "shop", &["*"], rules),
        service_entry("blue", "blue.example", 80, &[blue]),
    ])
}

#[tokio::test]
async fn what_an_outsider_says_of_itself_reaches_nobody() {
    let expected = [
        "GET /a HTTP/1.1",
        "host: shop.example",
        "x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
    ];
    for arguments in [&[][..], &["--trusted-cidr", "10.0.0.0/8"], &["--topology", "alb"]] {
        let mut scene = Scene::open(arguments).await;
        assert_eq!(scene.lines_for(SAID).await, expected, "{arguments:?}");
        assert_eq!(scene.gateway.access_line().await, "127.0.0.1");
        // `Connection` takes nothing away that we say, nor does it let a claim by.
        let names =
            "connection: x-forwarded-for, x-forwarded-proto, x-amzn-oidc-data, x-amzn-trace-id\r\n";
        assert_eq!(scene.lines_for(&format!("{names}{SAID}")).await, expected);
    }
}

#[tokio::test]
async fn what_an_outsider_says_over_http2_reaches_nobody_either() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::h2c(scene.address).await.unwrap();
    let mut call = Call::get(HOST, "/a");
    for line in SAID.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        // Twice, so that one of them could be overlooked.
        call = call.header(name, value).header(name, value);
    }
    assert_eq!(client.call(call).await.status, 200);
    let expected = [
        "GET /a HTTP/1.1",
        "host: shop.example",
        "x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678",
        "x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
    ];
    assert_eq!(scene.next_lines().await, expected);
}

#[tokio::test]
async fn what_an_alb_verified_becomes_x_forwarded_client_cert() {
    const VERIFIED: &str = "x-amzn-mtls-clientcert: unverified\r\n\
        x-amzn-mtls-clientcert-leaf: -----BEGIN%20CERTIFICATE-----%0AMIIB\r\n\
        x-amzn-mtls-clientcert-subject: CN=ada\r\n\
        x-forwarded-client-cert: Subject=\"CN=root\"\r\n";
    let shown = |lines: Vec<String>| {
        let shown = lines.into_iter().filter(|line| line.starts_with("x-forwarded-client-cert: "));
        shown.collect::<Vec<_>>()
    };
    let cert = "Cert=\"-----BEGIN%20CERTIFICATE-----%0AMIIB\";Subject=\"CN=ada\"";
    let mut scene = Scene::open(&[&ALB[..], &["--alb-mtls", "verify"]].concat()).await;
    let lines = scene.lines_for(VERIFIED).await;
    assert_eq!(shown(lines), [format!("x-forwarded-client-cert: {cert}")]);
    let lines = scene.lines_for("x-forwarded-client-cert: Subject=\"CN=root\"\r\n").await;
    assert_eq!(shown(lines), [""; 0], "the client's own word");
    // Where nobody is trusted the option changes nothing.
    let mut scene = Scene::open(&["--alb-mtls", "verify"]).await;
    assert_eq!(shown(scene.lines_for(VERIFIED).await), [""; 0]);
}

#[tokio::test]
async fn what_a_trusted_load_balancer_says_is_passed_on() {
    let mut scene = Scene::open(&ALB).await;
    let names = "connection: x-forwarded-for, x-amzn-oidc-data, x-amzn-mtls-clientcert-subject\r\n";
    let lines = scene.lines_for(&format!("{names}{SAID}")).await;
    let expected = [
        "x-forwarded-for: 203.0.113.66, 192.0.2.1,127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-port: 443",
        "x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678",
        "x-amzn-oidc-data: e30=.e30=.c2ln",
        "x-amzn-oidc-identity: alice",
        "x-amzn-oidc-accesstoken: token",
        "x-amzn-mtls-clientcert: -----BEGIN",
        "x-amzn-mtls-clientcert-leaf: -----BEGIN",
        "x-amzn-mtls-clientcert-subject: CN=alice",
        "x-amzn-mtls-clientcert-issuer: CN=ca",
        "x-amzn-mtls-clientcert-serial-number: 01",
    ];
    for line in expected {
        assert!(lines.iter().any(|sent| sent == line), "{line} in {lines:#?}");
    }
    let ours = |line: &&String| line.starts_with("x-envoy-") || line.starts_with("x-portcullis-");
    assert_eq!(lines.iter().find(ours), None, "these are nobody's to say");
    assert_eq!(scene.gateway.access_line().await, "192.0.2.1");
}

#[tokio::test]
async fn the_client_is_the_nearest_address_that_is_no_proxy() {
    let trusted =
        ["--topology", "alb", "--trusted-cidr", "127.0.0.0/8,10.0.0.0/8,2001:db8:a1b::/48"];
    let mut scene = Scene::open(&trusted).await;
    for (chain, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.66, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("2001:db8::1, 10.0.0.7", "2001:db8::1"),
        ("[2001:db8::1]:4711, 2001:db8:a1b::7", "2001:db8::1"),
        ("::ffff:192.0.2.1, ::ffff:10.0.0.7", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("192.0.2.1, garbage, 10.0.0.7", "10.0.0.7"),
        ("garbage", "127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        scene.lines_for(&format!("x-forwarded-for: {chain}\r\n")).await;
        assert_eq!(scene.gateway.access_line().await, client, "{chain}");
    }
    scene.lines_for("x-forwarded-for: 192.0.2.1\r\nx-forwarded-for: 10.0.0.7\r\n").await;
    assert_eq!(scene.gateway.access_line().await, "192.0.2.1", "two lines are one chain");
}

#[tokio::test]
async fn hops_count_where_networks_cannot_be_named() {
    let mut scene = Scene::open(&["--trusted-hops", "2"]).await;
    for (chain, client) in [
        ("203.0.113.66, 192.0.2.1, 198.51.100.7", "192.0.2.1"),
        ("2001:db8::1, 198.51.100.7", "2001:db8::1"),
        ("198.51.100.7", "198.51.100.7"),
    ] {
        scene.lines_for(&format!("x-forwarded-for: {chain}\r\n")).await;
        assert_eq!(scene.gateway.access_line().await, client, "{chain}");
    }
}

/// A server that sends plain requests to https.
fn redirecting() -> String {
    http_server("http", 80, &["*"]) + "  tls: {httpsRedirect: true}\n"
}

#[tokio::test]
async fn a_client_on_https_is_never_redirected_to_it() {
    let blue = Upstream::start("blue");
    let manifests = manifests(&redirecting(), TO_BLUE, blue.address());
    let gateway = Gateway::start_with(&manifests, &ALB).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for said in ["https", "HTTPS"] {
        let call = Call::get("shop.example:443", "/a").header("x-forwarded-proto", said);
        let reply = client.call(call.header("x-forwarded-port", "443")).await;
        assert_eq!(reply.upstream(), "blue", "{said}");
        assert_eq!(reply.json()["headers"]["x-forwarded-proto"], "https");
    }
    // What is not said once and plainly is not said: the connection itself is plain.
    for said in ["http", "https, http", "https,https", "wss", "ht tps", ""] {
        let call = Call::get("shop.example:80", "/a?b").header("x-forwarded-proto", said);
        let reply = client.call(call).await;
        assert_eq!(reply.status, 301, "{said:?}");
        assert_eq!(reply.header("location"), "https://shop.example/a?b", "{said:?}");
    }
    let twice = Call::get(HOST, "/").header("x-forwarded-proto", "https");
    assert_eq!(client.call(twice.header("x-forwarded-proto", "https")).await.status, 301);
}

#[tokio::test]
async fn an_outsider_cannot_get_around_the_redirect() {
    let blue = Upstream::start("blue");
    let manifests = manifests(&redirecting(), TO_BLUE, blue.address());
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let call = Call::get(HOST, "/").header("x-forwarded-proto", "https");
    assert_eq!(client.call(call).await.status, 301);
    assert_eq!(blue.seen().requests, 0);
}

#[tokio::test]
async fn a_redirect_by_a_rule_keeps_the_scheme_and_port_of_the_client() {
    let rules = "- redirect: {uri: /new}\n";
    let blue = Upstream::start("blue");
    let manifests = manifests(&http_server("http", 80, &["*"]), rules, blue.address());
    let gateway = Gateway::start_with(&manifests, &ALB).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for (host, location) in [
        ("shop.example", "https://shop.example/new"),
        ("shop.example:443", "https://shop.example/new"),
        ("shop.example:8443", "https://shop.example:8443/new"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/new"),
    ] {
        let call = Call::get(host, "/").header("x-forwarded-proto", "https");
        assert_eq!(client.call(call).await.header("location"), location, "{host}");
    }
}

#[tokio::test]
async fn private_networks_are_trusted_behind_an_alb_and_said_to_be() {
    let mut scene = Scene::open(&["--topology", "alb"]).await;
    let warned = |line: &String| line.contains("--topology alb without --trusted-cidr");
    assert!(scene.gateway.log.iter().any(warned), "{:?}", scene.gateway.log);
    scene.lines_for("x-forwarded-for: 192.0.2.1\r\n").await;
    assert_eq!(scene.gateway.access_line().await, "127.0.0.1", "loopback is no private network");
}

#[tokio::test]
async fn ipv6_all_the_way() {
    let blue = Upstream::start_on("blue", "[::1]:0".parse().unwrap());
    let rules = route_to("blue.example", 80);
    let manifests = manifests(&http_server("http", 80, &["*"]), &rules, blue.address());
    let arguments = [&ALB[..], &["--bind", "::1"]].concat();
    let mut gateway = Gateway::start_with(&manifests, &arguments).await;
    let address = gateway.address("http");
    assert!(address.is_ipv6());
    for mut client in [Client::http1(address).await.unwrap(), Client::h2c(address).await.unwrap()] {
        let host = format!("[::1]:{}", address.port());
        let call = Call::get(&host, "/a").header("x-forwarded-for", "2001:db8::1");
        let reply = client.call(call).await;
        let echo = reply.json();
        assert_eq!(echo["headers"]["host"], host);
        assert_eq!(echo["headers"]["x-forwarded-for"], "2001:db8::1,::1");
        assert_eq!(reply.header("x-portcullis-upstream"), blue.address().to_string());
        let line = gateway.access_line().await;
        assert!(line.contains(&format!("\"{}\"", blue.address())), "{line}");
        assert!(line.contains("\"2001:db8::1,::1\""), "{line}");
    }
}

#[tokio::test]
async fn an_ipv4_client_of_a_socket_for_both_families_is_known_as_ipv4() {
    let mut scene = Scene::open(&["--bind", "::"]).await;
    scene.address = SocketAddr::from(([127, 0, 0, 1], scene.address.port()));
    let lines = scene.lines_for("").await;
    assert!(lines.contains(&"x-forwarded-for: 127.0.0.1".to_owned()), "{lines:?}");
    assert_eq!(scene.gateway.access_line().await, "127.0.0.1");
}
