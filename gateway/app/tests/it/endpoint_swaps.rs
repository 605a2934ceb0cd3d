//! Endpoints that give way to others: nobody is without while that happens, what fails comes back, and clients have no
//! say in it.

use std::time::Duration;

use portcullis_testkit::manifests::{http_gateway, join, service_entry, virtual_service};
use portcullis_testkit::{Client, DnsAnswer, DnsServer, Upstream, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::balancing::{destination_rule, endpoint};
use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

/// A configuration is compiled, waits for what its names lead to, and serves then. Until then the one before it does,
/// with the endpoints that it has.
#[tokio::test]
async fn while_a_new_configuration_waits_for_a_name_the_endpoints_before_it_serve() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let dns = DnsServer::start();
    dns.answer("slow.dns.test", DnsAnswer::Silence);
    let at = |upstream: &Upstream| service_entry("blue", "blue.example", 80, &[upstream.address()]);
    let slow = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: slow}\nspec:\n  \
                hosts: [slow.example]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  \
                resolution: DNS\n  endpoints: [{address: slow.dns.test}]\n";
    let server = dns.address.to_string();
    let before = join(&[shop::manifests(TO_BLUE), at(&blue)]);
    let mut gateway = Gateway::start_with(&before, &["--dns-server", &server]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    let after = join(&[shop::manifests(TO_BLUE), at(&green), slow.to_owned()]);
    let asking = async {
        loop {
            let reply = client.get(HOST, "/").await;
            assert_eq!(reply.status, 200);
            if reply.upstream() == "green" {
                return;
            }
        }
    };
    let (_, ()) = tokio::join!(gateway.apply(&after), within("an answer from green", asking));
    blue.until(|seen| seen.open == 0).await;
}

/// The cluster of a request's own host is looked after as any other is.
#[tokio::test]
async fn an_ejected_host_of_dynamic_dns_comes_back() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    dns.answer("blue.dyn.test", DnsAnswer::addresses(60, &["127.0.0.1"]));
    let port = blue.address().port();
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: dynamic}}\nspec:\n  \
         hosts: [\"*.dyn.test\"]\n  ports: [{{number: {port}, name: http, protocol: HTTP}}]\n  \
         resolution: DYNAMIC_DNS\n"
    );
    let policy = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: dynamic}\n\
                  spec:\n  host: \"*.dyn.test\"\n  trafficPolicy:\n    outlierDetection: \
                  {consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 200ms}\n";
    let rules = "- route:\n  - destination: {host: \"*.dyn.test\"}\n";
    let manifests = join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], rules),
        entry,
        policy.to_owned(),
    ]);
    let server = dns.address.to_string();
    let arguments = ["--dns-server", &server, "--dynamic-dns-allow", "127.0.0.0/8"];
    let mut gateway = Gateway::start_with(&manifests, &arguments).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("blue.dyn.test", "/status/500").await.status, 500);
    gateway.wait_for_log("endpoint ejected").await;
    gateway.wait_for_log("back in rotation").await;
    let asking = async { while client.get("blue.dyn.test", "/").await.status != 200 {} };
    within("an answer after the ejection", asking).await;
}

/// A reply that is not over when its route's timeout passes, because its client does not read.
#[tokio::test]
async fn a_client_that_does_not_read_has_no_endpoint_ejected() {
    let blue = Upstream::start("blue");
    let rules = "- timeout: 200ms\n  route:\n  - destination: {host: blue.example}\n";
    let policy = "outlierDetection: {consecutiveGatewayErrors: 1, consecutive5xxErrors: 1, \
                  interval: 1h, baseEjectionTime: 1h}";
    let entry = service_entry("blue", "blue.example", 80, &[blue.address()]);
    let manifests = join(&[shop::manifests(rules), entry, destination_rule(policy)]);
    let mut gateway = Gateway::start(&manifests).await;
    let mut slow = TcpStream::connect(gateway.address("http")).await.unwrap();
    let ask = format!("GET /stream/64 HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    slow.write_all(ask.as_bytes()).await.unwrap();
    slow.read_u8().await.unwrap();
    // The time itself is the matter here.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut read = Vec::new();
    let _ = slow.read_to_end(&mut read).await;
    assert!(read.len() < 64 << 20);
    gateway.access_line_with(" UT ").await;
    assert_eq!(endpoint(&gateway, blue.address()).await["state"], "healthy");
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.status, 200);
}
