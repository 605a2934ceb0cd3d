//! Active health checks: endpoints are asked, and those that are not well get no request.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, secret};
use portcullis_testkit::{Call, Certificates, Client, TlsUpstream, Upstream, within};

use crate::gateway::Gateway;
use crate::grpc_peer::{GrpcServer, calls_pass};
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST, TO_BLUE};

fn entry(check: &str, endpoints: &[SocketAddr]) -> String {
    let endpoint = |at: &SocketAddr| {
        format!("  - {{address: \"{}\", ports: {{http: {}}}}}\n", at.ip(), at.port())
    };
    let endpoints: String = endpoints.iter().map(endpoint).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: blue\n  \
         annotations: {{portcullis.dev/health-check: {check}}}\nspec:\n  hosts: [blue.example]\n  \
         ports: [{{number: 80, name: http, protocol: HTTP}}]\n  resolution: STATIC\n  \
         endpoints:\n{endpoints}"
    )
}

fn manifests(check: &str, endpoints: &[SocketAddr]) -> String {
    join(&[shop::manifests(TO_BLUE), entry(check, endpoints)])
}

async fn start(check: &str, endpoints: &[SocketAddr]) -> (Gateway, Client) {
    let gateway = Gateway::start(&manifests(check, endpoints)).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

async fn who_answers(client: &mut Client) -> String {
    let reply = client.get(HOST, "/").await;
    reply.headers.get("x-upstream").map_or("nobody", |name| name.to_str().unwrap()).to_owned()
}

/// What the admin port says of an endpoint.
async fn standing(gateway: &Gateway, of: SocketAddr) -> String {
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let clusters = admin.get("localhost", "/clusters").await.json();
    let all = clusters["clusters"].as_array().unwrap().iter();
    let mut endpoints = all.flat_map(|cluster| cluster["endpoints"].as_array().unwrap());
    endpoints.find(|endpoint| endpoint["address"] == of.to_string()).unwrap().to_string()
}

#[tokio::test]
async fn an_endpoint_that_answers_badly_gets_no_request_from_the_start() {
    let blue = Upstream::start("blue");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap();
    let check = "http path=/status/200 interval=100ms timeout=50ms healthy=1 unhealthy=1";
    // What takes the connection and says nothing is not well.
    let (mut gateway, mut client) = start(check, &[blue.address(), silent_address]).await;
    let line = gateway.logged("endpoint is unhealthy").await;
    assert!(line.contains("no answer in time"), "{line}");
    for _ in 0..50 {
        assert_eq!(who_answers(&mut client).await, "blue");
    }
    assert!(standing(&gateway, silent_address).await.contains("no answer in time"));
    let scraped = metrics(&gateway).await;
    assert!(sample(&scraped, "portcullis_health_probes_total", &["\"bad\""]) >= 1.0);
}

#[tokio::test]
async fn an_endpoint_leaves_when_its_status_is_bad_and_returns_when_it_is_good() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let endpoints = [blue.address(), green.address()];
    let (mut gateway, mut client) =
        start("http path=/ interval=100ms timeout=90ms healthy=2 unhealthy=2", &endpoints).await;
    let address = blue.address();
    blue.stop();
    let line = gateway.wait_for_log("endpoint is unhealthy").await;
    assert!(line.contains(&address.to_string()) && line.contains("refused"), "{line}");
    for _ in 0..50 {
        assert_eq!(client.call(Call::post(HOST, "/", "once")).await.status, 200);
    }
    let blue = Upstream::start_on("blue", address);
    gateway.wait_for_log("endpoint is healthy").await;
    let returned = async { while who_answers(&mut client).await != "blue" {} };
    within("the endpoint's return", returned).await;
    // Another check judges anew.
    let bad = manifests(
        "http path=/status/503 interval=100ms timeout=90ms healthy=1 unhealthy=1",
        &endpoints,
    );
    gateway.apply(&bad).await;
    gateway.logged("status 503").await;
    drop(blue);
}

#[tokio::test]
async fn a_check_that_is_taken_away_takes_its_findings_along() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let endpoints = [blue.address(), green.address()];
    let (mut gateway, mut client) =
        start("http path=/status/503 interval=100ms timeout=90ms", &endpoints).await;
    assert_eq!(client.get(HOST, "/").await.status, 503);
    gateway.access_line_with(" 503 UH no_healthy_upstream").await;
    let unchecked = manifests("tcp", &endpoints).replace("portcullis.dev/health-check: tcp", "");
    gateway.apply(&unchecked).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let endpoints = [blue.address(), green.address()];
    let address = green.address();
    green.stop();
    let (mut gateway, mut client) =
        start("tcp interval=100ms timeout=90ms unhealthy=1", &endpoints).await;
    let line = gateway.logged("endpoint is unhealthy").await;
    assert!(line.contains(&address.to_string()), "{line}");
    for _ in 0..20 {
        assert_eq!(who_answers(&mut client).await, "blue");
    }
}

#[tokio::test]
async fn a_grpc_server_is_asked_whether_it_serves() {
    let mut server = GrpcServer::start().await;
    server.set_health("shop.Echo", "SERVING").await;
    let check = "grpc service=shop.Echo interval=100ms timeout=2s healthy=1 unhealthy=1";
    let grpc = manifests(check, &[server.address]).replace("protocol: HTTP}]", "protocol: GRPC}]");
    let mut gateway = Gateway::start(&grpc).await;
    calls_pass(gateway.address("http")).await;
    server.set_health("shop.Echo", "NOT_SERVING").await;
    let line = gateway.wait_for_log("endpoint is unhealthy").await;
    assert!(line.contains("NOT_SERVING"), "{line}");
    server.set_health("shop.Echo", "SERVING").await;
    gateway.wait_for_log("endpoint is healthy").await;
    calls_pass(gateway.address("http")).await;
}

#[tokio::test]
async fn a_check_goes_over_the_clusters_tls() {
    let good = Certificates::for_hosts(&["blue.example"]);
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: blue}\nspec:\n  \
                host: blue.example\n  trafficPolicy: {tls: {mode: SIMPLE, credentialName: blue, sni: blue.example}}\n";
    for check in ["http path=/status/200", "tcp"] {
        let blue = Upstream::start("blue");
        let front = TlsUpstream::start(blue.address(), &good);
        let check = format!("{check} interval=100ms timeout=2s healthy=1 unhealthy=1");
        let manifests = join(&[
            manifests(&check, &[front.address()]),
            rule.to_owned(),
            secret("blue", &[("ca.crt", &good.ca_pem)]),
        ]);
        let mut gateway = Gateway::start(&manifests).await;
        front.until(|seen| seen.made > 1).await;
        let mut client = Client::http1(gateway.address("http")).await.unwrap();
        assert_eq!(client.get(HOST, "/").await.status, 200);
        front.replace(&Certificates::for_hosts(&["blue.example"]), None);
        let line = gateway.wait_for_log("endpoint is unhealthy").await;
        assert!(line.contains("TLS error"), "{line}");
        front.replace(&good, None);
        gateway.wait_for_log("endpoint is healthy").await;
    }
}
