//! What the admin port tells of certificates, and the drain that it begins.

use portcullis_testkit::manifests::{gateway, http_server, https_server, join, tls_secret};
use portcullis_testkit::{Call, Certificates, Client};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

#[tokio::test]
async fn certificates_are_told_with_their_names_and_ends_and_without_keys() {
    let certificates = Certificates::for_hosts(&["a.example", "*.b.example"]);
    let servers = [
        https_server("https", 443, &["a.example"], "a"),
        https_server("broken", 443, &["c.example"], "missing"),
        http_server("http", 80, &["*"]),
    ];
    let manifests = join(&[gateway("shop", &servers), tls_secret("a", &certificates)]);
    let gateway = Gateway::start(&manifests).await;
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let reply = admin.get("localhost", "/certs").await;
    let key = certificates.key_pem.lines().nth(1).unwrap();
    assert!(!reply.text().contains("PRIVATE KEY") && !reply.text().contains(key));
    let told = reply.json();
    let [first, second] = &told["certificates"].as_array().unwrap()[..] else {
        panic!("an entry for each listener that ends TLS: {told}")
    };
    assert_eq!((&first["server"], &first["port"]), (&"https".into(), &443.into()));
    assert_eq!(first["hosts"], serde_json::json!(["a.example"]));
    assert_eq!(first["client_certificates"], "not asked for");
    let chain = &first["cert_chain"][0];
    assert_eq!(chain["subject_alt_names"]["dns"], serde_json::json!(["a.example", "*.b.example"]));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificates.leaf_der);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(chain["sha256"], digest);
    assert!(chain["days_until_expiration"].as_i64().unwrap() > 365, "{chain}");
    assert!(chain["valid_from"].as_str().unwrap().ends_with("T00:00:00.000Z"), "{chain}");
    assert!(chain["issuer"].as_str().unwrap().contains("Testkit authority"), "{chain}");
    assert!(!chain["serial_number"].as_str().unwrap().is_empty());
    assert_eq!(
        (&second["server"], &second["cert_chain"]),
        (&"broken".into(), &serde_json::json!([]))
    );
    let index = admin.get("localhost", "/").await;
    for path in ["/certs", "/drain_listeners"] {
        assert!(index.text().contains(path), "{path} in {}", index.text());
    }
}

async fn drain(shop: &Shop, query: &str) {
    let mut admin = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    let path = format!("/drain_listeners{query}");
    assert_eq!(admin.get("localhost", &path).await.status, 405, "changes only by POST");
    let reply = admin.call(Call::post("localhost", &path, "")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "OK\n"));
}

async fn is_ready(shop: &Shop) -> bool {
    let mut status = Client::http1(shop.gateway.side_port("status")).await.unwrap();
    status.get("localhost", "/healthz/ready").await.status == 200
}

#[tokio::test]
async fn draining_the_listeners_closes_them_and_ends_no_request_and_no_process() {
    let mut shop = Shop::open_with(TO_BLUE, &["--drain-delay", "1h"]).await;
    let mut client = shop.connect().await;
    let held = tokio::spawn(async move { client.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    drain(&shop, "").await;
    shop.gateway.wait_for_log("draining the listeners").await;
    assert!(!is_ready(&shop).await);
    assert!(Client::http1(shop.gateway.address("http")).await.is_err(), "no new connection");
    shop.blue.release();
    let reply = held.await.unwrap();
    assert_eq!((reply.text(), reply.header("connection")), ("released", "close"));
    shop.gateway.signal("USR2");
    let line = shop.gateway.wait_for_log("binary upgrade refused").await;
    assert!(line.contains("this process drains"), "{line}");
    assert!(!is_ready(&shop).await, "the process is still there");
    // The listeners are closed, so there is nothing to delay for.
    shop.gateway.signal("TERM");
    assert!(shop.gateway.wait().await.success());
}

#[tokio::test]
async fn a_graceful_drain_of_the_listeners_waits_for_the_delay() {
    let mut shop = Shop::open_with(TO_BLUE, &["--drain-delay", "1s"]).await;
    drain(&shop, "?graceful").await;
    shop.gateway.wait_for_log("draining the listeners").await;
    while Client::http1(shop.gateway.address("http")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!is_ready(&shop).await);
}

#[tokio::test]
async fn a_drain_that_skips_the_exit_goes_on_accepting() {
    let mut shop = Shop::open_with(TO_BLUE, &["--drain-delay", "0s"]).await;
    drain(&shop, "?graceful&skip_exit").await;
    shop.gateway.wait_for_log("draining the listeners").await;
    assert!(!is_ready(&shop).await);
    for _ in 0..3 {
        let reply = shop.connect().await.get(HOST, "/").await;
        assert_eq!((reply.upstream(), reply.header("connection")), ("blue", "close"));
    }
}
