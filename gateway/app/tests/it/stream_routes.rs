//! TLSRoutes, TCPRoutes and BackendTLSPolicies from outside.

use portcullis_testkit::manifests::{join, kubernetes_service, tls_secret};
use portcullis_testkit::{
    Authority, Certificates, Client, Echo, Tls, TlsStream, TlsUpstream, Upstream, within,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::gateway::Gateway;

fn api_gateway(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: portcullis\n  listeners: [{listeners}]\n"
    )
}

fn route(kind: &str, name: &str, section: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{parentRefs: [{{name: gw, sectionName: {section}}}], {spec}}}\n"
    )
}

fn to(service: &str) -> String {
    format!("rules: [{{backendRefs: [{{name: {service}, port: 80}}]}}]")
}

/// The first line that comes.
async fn line(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut line = String::new();
    while !line.ends_with('\n') {
        line.push(char::from(within("a line", stream.read_u8()).await.unwrap()));
    }
    line
}

async fn connect(
    gateway: &Gateway,
    listener: &str,
    tls: &Tls,
) -> std::io::Result<TlsStream<TcpStream>> {
    tls.connect(TcpStream::connect(gateway.address(listener)).await?).await
}

#[tokio::test]
async fn a_tcp_route_passes_bytes_on() {
    let echo = Echo::plain("db").await;
    let manifests = join(&[
        api_gateway("{name: tcp, port: 9000, protocol: TCP}"),
        route("TCPRoute", "db", "tcp", &to("db")),
        kubernetes_service("db", 80, echo.address),
    ]);
    let mut gateway = Gateway::start(&manifests).await;
    let mut stream = TcpStream::connect(gateway.address("tcp")).await.unwrap();
    assert!(line(&mut stream).await.contains("db"));
    drop(stream);
    assert!(gateway.access_line().await.contains("TCPRoute/default/db/rules[0]"));
}

#[tokio::test]
async fn tls_is_passed_on_or_ends_by_the_mode_of_the_listener_that_has_the_name() {
    let authority = Authority::new();
    let (own, passed) =
        (authority.issue(&["a.ends.test", "b.ends.test"]), authority.issue(&["x.passed.test"]));
    let (plain, other) = (Echo::plain("plain").await, Echo::plain("other").await);
    let secret = Echo::tls("secret", &passed).await;
    let listeners = "{name: passes, port: 443, protocol: TLS, hostname: '*.passed.test', tls: {mode: Passthrough}}, {name: ends, port: 443, protocol: TLS, hostname: '*.ends.test', tls: {mode: Terminate, certificateRefs: [{name: own}]}}";
    let manifests = join(&[
        api_gateway(listeners),
        tls_secret("own", &own),
        route("TLSRoute", "passed", "passes", &to("secret")),
        route("TLSRoute", "a", "ends", &format!("hostnames: [a.ends.test], {}", to("plain"))),
        route("TLSRoute", "rest", "ends", &to("other")),
        kubernetes_service("plain", 80, plain.address),
        kubernetes_service("other", 80, other.address),
        kubernetes_service("secret", 80, secret.address),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let served = |name: &'static str, certificates: &Certificates| {
        (name, Tls::new(name, certificates), certificates.leaf_der.clone())
    };
    for ((name, tls, leaf), who) in [
        (served("x.passed.test", &passed), "secret"),
        (served("a.ends.test", &own), "plain"),
        (served("b.ends.test", &own), "other"),
    ] {
        let mut stream = connect(&gateway, "passes", &tls).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(shown, leaf, "{name}");
        assert!(line(&mut stream).await.contains(who), "{name}");
    }
    let unknown = Tls::new("x.other.test", &own);
    assert!(connect(&gateway, "passes", &unknown).await.is_err());
}

/// A BackendTLSPolicy for the Service `blue`, whose authorities are in the ConfigMap `ca`.
fn policy(hostname: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: blue}}\nspec: {{targetRefs: [{{group: '', kind: Service, name: blue}}], validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}], hostname: {hostname}}}}}\n"
    )
}

fn config_map(pem: &str) -> String {
    let pem = pem.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n    {pem}\n"
    )
}

#[tokio::test]
async fn a_backend_tls_policy_verifies_and_never_falls_back_to_plain_text() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let own = authority.issue(&["blue.internal"]);
    let front = TlsUpstream::start(blue.address(), &own);
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\nspec: {defaultBackend: {service: {name: blue, port: {number: 80}}}}\n";
    let with = |documents: &[String]| {
        let mut all = vec![ingress.to_owned(), kubernetes_service("blue", 80, front.address())];
        all.extend_from_slice(documents);
        join(&all)
    };
    let good = with(&[policy("blue.internal"), config_map(&own.ca_pem)]);
    let mut gateway = Gateway::start(&good).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.upstream(), "blue");
    assert_eq!(front.seen().server_name.as_deref(), Some("blue.internal"));
    gateway.apply(&with(&[policy("green.internal"), config_map(&own.ca_pem)])).await;
    assert_eq!(client.get("shop.test", "/").await.status, 503, "another name");
    let stranger = Authority::new().issue(&["blue.internal"]);
    gateway.apply(&with(&[policy("blue.internal"), config_map(&stranger.ca_pem)])).await;
    assert_eq!(client.get("shop.test", "/").await.status, 503, "another authority");
    let refused = join(&[
        ingress.to_owned(),
        kubernetes_service("blue", 80, blue.address()),
        policy("blue.internal"),
    ]);
    let fresh = Gateway::start(&refused).await;
    let mut client = Client::http1(fresh.address("http")).await.unwrap();
    let before = blue.seen().requests;
    assert_eq!(client.get("shop.test", "/").await.status, 503, "there is no ConfigMap");
    assert_eq!(blue.seen().requests, before, "and it would take plain text");
}
