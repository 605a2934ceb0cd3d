//! TLS ends here: certificates by name, rotated while handshakes go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_testkit::manifests::{http_server, https_server, tls_secret};
use portcullis_testkit::{Authority, Certificates, Client, Tls, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, all_to_blue};

/// One HTTPS server for every host with this certificate.
fn one_server(blue: &Upstream, certificates: &Certificates) -> String {
    let servers = [https_server("https", 443, &["*"], "shop")];
    all_to_blue(blue, &servers, &[tls_secret("shop", certificates)])
}

#[tokio::test]
async fn requests_come_in_over_tls_1_2_and_1_3() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let gateway = Gateway::start(&one_server(&blue, &certificates)).await;
    let tls = Tls::new(HOST, &certificates);
    for tls in [tls.clone(), tls.clone().tls12(), tls.without_alpn()] {
        let mut client = Client::tls(gateway.address("https"), &tls).await.unwrap();
        let reply = client.get(HOST, "/").await;
        assert_eq!(reply.upstream(), "blue");
        assert_eq!(reply.json()["headers"]["x-forwarded-proto"], "https");
    }
}

#[tokio::test]
async fn alpn_settles_http2_or_http1() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let mut gateway = Gateway::start(&one_server(&blue, &certificates)).await;
    let tls = Tls::new(HOST, &certificates);
    for (tls, protocol) in [(tls.clone(), "http/1.1"), (tls.http2(), "h2")] {
        let mut client = Client::tls(gateway.address("https"), &tls).await.unwrap();
        assert_eq!(client.protocol(), Some(protocol));
        assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
        let line = gateway.access_line().await;
        assert!(
            line.contains(" shop.example VirtualService/"),
            "the server name is logged: {line}"
        );
    }
}

/// The certificate that the gateway shows for a name; an error where it refuses the handshake.
async fn shown(gateway: &Gateway, tls: &Tls) -> std::io::Result<Vec<u8>> {
    let client = Client::tls(gateway.address("a"), tls).await?;
    Ok(client.certificate().unwrap().to_vec())
}

#[tokio::test]
async fn the_server_name_chooses_the_certificate() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let (a, wild) = (authority.issue(&["a.example.com"]), authority.issue(&["*.example.com"]));
    let servers = [
        https_server("a", 443, &["a.example.com"], "a"),
        https_server("wild", 443, &["*.example.com"], "wild"),
    ];
    let secrets = [tls_secret("a", &a), tls_secret("wild", &wild)];
    let gateway = Gateway::start(&all_to_blue(&blue, &servers, &secrets)).await;
    assert_eq!(shown(&gateway, &Tls::new("a.example.com", &a)).await.unwrap(), a.leaf_der);
    assert_eq!(shown(&gateway, &Tls::new("b.example.com", &a)).await.unwrap(), wild.leaf_der);
    assert!(shown(&gateway, &Tls::new("a.example.org", &a)).await.is_err());
}

#[tokio::test]
async fn without_a_server_name_the_server_for_every_host_answers() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let (any, b) = (authority.issue(&[HOST]), authority.issue(&["b.example.com"]));
    let servers = [
        https_server("b", 443, &["b.example.com"], "b"),
        https_server("c", 443, &["c.example.com"], "b"),
        https_server("a", 443, &["*"], "any"),
    ];
    let secrets = [tls_secret("any", &any), tls_secret("b", &b)];
    let mut gateway = Gateway::start(&all_to_blue(&blue, &servers, &secrets)).await;
    let nameless = Tls::new(HOST, &any).without_sni();
    assert_eq!(shown(&gateway, &nameless).await.unwrap(), any.leaf_der);
    gateway.apply(&all_to_blue(&blue, &servers[..2], &secrets)).await;
    let address = gateway.address("b");
    let nameless = Tls::new("b.example.com", &b).without_sni();
    assert!(Client::tls(address, &nameless).await.is_err(), "no server is for every host");
}

#[tokio::test]
async fn a_missing_secret_degrades_its_own_names_only() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let b = authority.issue(&["b.example.com"]);
    let servers = [
        https_server("a", 443, &["a.example.com"], "missing"),
        https_server("b", 443, &["b.example.com"], "b"),
        http_server("http", 80, &["*"]),
    ];
    let mut gateway = Gateway::start(&all_to_blue(&blue, &servers, &[tls_secret("b", &b)])).await;
    assert!(shown(&gateway, &Tls::new("a.example.com", &b)).await.is_err());
    assert_eq!(shown(&gateway, &Tls::new("b.example.com", &b)).await.unwrap(), b.leaf_der);
    let mut plain = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(plain.get("a.example.com", "/").await.upstream(), "blue");
    let a = authority.issue(&["a.example.com"]);
    let secrets = [tls_secret("b", &b), tls_secret("missing", &a)];
    gateway.apply(&all_to_blue(&blue, &servers, &secrets)).await;
    assert_eq!(shown(&gateway, &Tls::new("a.example.com", &a)).await.unwrap(), a.leaf_der);
}

#[tokio::test]
async fn a_certificate_is_rotated_without_a_failed_handshake() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let mut certificates = authority.issue(&[HOST]);
    let mut gateway = Gateway::start(&one_server(&blue, &certificates)).await;
    let address = gateway.address("https");
    let (stop, handshakes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tls = Tls::new(HOST, &certificates);
    let (stopping, counting) = (stop.clone(), handshakes.clone());
    let clients = tokio::spawn(async move {
        while !stopping.load(Ordering::Relaxed) {
            let mut client = Client::tls(address, &tls).await.expect("a handshake failed");
            assert_eq!(client.get(HOST, "/").await.status, 200);
            counting.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut kept = Client::tls(address, &Tls::new(HOST, &certificates)).await.unwrap();
    for _ in 0..10 {
        certificates = authority.issue(&[HOST]);
        gateway.apply(&one_server(&blue, &certificates)).await;
        let client = Client::tls(address, &Tls::new(HOST, &certificates)).await.unwrap();
        assert_eq!(client.certificate().unwrap(), certificates.leaf_der);
    }
    stop.store(true, Ordering::Relaxed);
    clients.await.unwrap();
    assert!(handshakes.load(Ordering::Relaxed) > 0);
    assert_eq!(kept.get(HOST, "/").await.status, 200, "an open connection outlives the rotation");
}

#[tokio::test]
async fn plain_requests_are_sent_to_https() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let redirecting = http_server("http", 80, &["*"]) + "  tls: {httpsRedirect: true}\n";
    let servers = [redirecting, https_server("https", 443, &["*"], "shop")];
    let all = all_to_blue(&blue, &servers, &[tls_secret("shop", &certificates)]);
    let gateway = Gateway::start(&all).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.get(HOST, "/cart?a=b").await;
    let location = reply.header("location");
    assert_eq!((reply.status.as_u16(), location), (301, "https://shop.example/cart?a=b"));
    let mut client =
        Client::tls(gateway.address("https"), &Tls::new(HOST, &certificates)).await.unwrap();
    assert_eq!(client.get(HOST, "/cart").await.status, 200);
    assert_eq!(blue.seen().requests, 1);
}
