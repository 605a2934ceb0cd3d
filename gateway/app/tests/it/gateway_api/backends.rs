//! What backends speak, and what they are shown.

use std::net::SocketAddr;

use portcullis_testkit::manifests::tls_secret;
use portcullis_testkit::{
    Authority, Call, Certificates, RawConnection, TlsUpstream, WebSocketUpstream,
    websocket_handshake,
};

use super::*;

/// A Service whose port has this `appProtocol`.
fn speaking(name: &str, protocol: &str, endpoint: SocketAddr) -> String {
    let ports = "[{port: 80, name: http";
    let with = format!("{ports}, appProtocol: {protocol}");
    kubernetes_service(name, 80, endpoint).replacen(ports, &with, 1)
}

/// A Gateway that sends everything to the Service `v1`, with these documents.
async fn to_v1(gateway: String, documents: &[String]) -> Gateway {
    let mut all = vec![gateway, http_route("r", "", &[TO_V1])];
    all.extend_from_slice(documents);
    Gateway::start(&join(&all)).await
}

async fn open_tunnel(gateway: &Gateway) -> RawConnection {
    let mut connection = RawConnection::connect(gateway.address("http")).await.unwrap();
    connection.send(websocket_handshake("a.test", "/chat")).await.unwrap();
    let head = connection.read_head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    connection
}

async fn echo(connection: &mut RawConnection, bytes: &[u8]) {
    connection.send(bytes).await.unwrap();
    assert_eq!(connection.read_exactly(bytes.len()).await.unwrap(), bytes);
}

/// TLS to the Service `v1`, vouched for by this authority.
fn over_tls(authority_pem: &str) -> String {
    let pem = authority_pem.trim_end().replace('\n', "\n    ");
    join(&[
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n    {pem}\n"),
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: v1}\nspec: {targetRefs: [{group: '', kind: Service, name: v1}], validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], hostname: v1.internal}}\n".to_owned(),
    ])
}

#[tokio::test]
async fn h2c_backends_are_spoken_to_in_http2() {
    let backend = Upstream::start_http2("v1");
    let service = speaking("v1", "kubernetes.io/h2c", backend.address());
    let gateway = to_v1(api_gateway(&[HTTP]), &[service]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.call(Call::post("a.test", "/a", "hello")).await;
    let echo = reply.json();
    assert_eq!((&echo["body"], &echo["version"]), (&"hello".into(), &"HTTP/2.0".into()));
}

#[tokio::test]
async fn websockets_pass_with_and_without_an_app_protocol() {
    let backend = WebSocketUpstream::start().await;
    for service in [
        kubernetes_service("v1", 80, backend.address),
        speaking("v1", "kubernetes.io/ws", backend.address),
    ] {
        let gateway = to_v1(api_gateway(&[HTTP]), &[service]).await;
        let mut tunnel = open_tunnel(&gateway).await;
        echo(&mut tunnel, b"\x81\x05hello").await;
    }
    assert_eq!(backend.seen().connections, 2);
}

#[tokio::test]
async fn websockets_pass_over_tls() {
    let backend = WebSocketUpstream::start().await;
    let own = Certificates::for_hosts(&["v1.internal"]);
    let front = TlsUpstream::start(backend.address, &own);
    let service = speaking("v1", "kubernetes.io/wss", front.address());
    let gateway = to_v1(api_gateway(&[HTTP]), &[service, over_tls(&own.ca_pem)]).await;
    let mut tunnel = open_tunnel(&gateway).await;
    echo(&mut tunnel, b"\x81\x05hello").await;
    assert_eq!(front.seen().server_name.as_deref(), Some("v1.internal"));
}

#[tokio::test]
async fn backends_are_shown_the_gateways_certificate_and_a_newer_one_at_once() {
    let (backend, clients) = (Upstream::start("v1"), Authority::new());
    let own = Certificates::for_hosts(&["v1.internal"]);
    let front = TlsUpstream::start_mutual(backend.address(), &own, &clients.pem());
    let showing = |reference: &str| {
        let tls = format!("  tls: {{backend: {{clientCertificateRef: {{name: {reference}}}}}}}\n");
        api_gateway(&[HTTP]).replace("  listeners:", &format!("{tls}  listeners:"))
    };
    let manifests = |gateway: String, shown: &Certificates| {
        join(&[
            gateway,
            http_route("r", "", &[TO_V1]),
            kubernetes_service("v1", 80, front.address()),
            over_tls(&own.ca_pem),
            tls_secret("shown", shown),
        ])
    };
    let [one, two] = [1, 2].map(|_| clients.issue(&["gateway.internal"]));
    let mut gateway = Gateway::start(&manifests(showing("shown"), &one)).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.get("a.test", "/").await;
    assert_eq!(reply.upstream(), "v1");
    let first = front.seen().client.unwrap();
    gateway.apply(&manifests(showing("shown"), &two)).await;
    assert_eq!(client.get("a.test", "/").await.upstream(), "v1");
    assert_ne!(front.seen().client.unwrap(), first, "the newer one");
    gateway.apply(&manifests(api_gateway(&[HTTP]), &two)).await;
    assert_eq!(client.get("a.test", "/").await.status, 503, "none");
}
