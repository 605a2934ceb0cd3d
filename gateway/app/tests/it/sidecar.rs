//! A real Envoy, configured as an Istio sidecar takes connections in: STRICT mutual TLS, SPIFFE identities, filter chains
//! by the ALPN of the mesh.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_testkit::manifests::{http_gateway, join, virtual_service};
use portcullis_testkit::{
    Authority, Call, Certificates, Client, RawConnection, Subject, Upstream, WebSocketUpstream,
    websocket_handshake,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::envoy::process::{Envoy, api, cluster, http2_cluster, listener};
use crate::gateway::Gateway;
use crate::grpc_peer::{GrpcServer, calls_pass};
use crate::shop::{HOST, TO_BLUE};

/// The identity of the sidecar.
const BLUE: &str = "spiffe://cluster.local/ns/shop/sa/blue";
/// That of the gateway.
const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";
/// What a sidecar's HTTP filter chain is for.
const HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// A gateway before a sidecar, each with certificates in a directory of its own.
struct Scene {
    gateway: Gateway,
    sidecar: Envoy,
    files: Files,
}

/// The certificates of both sides.
struct Files {
    gateway: TempDir,
    sidecar: TempDir,
}

impl Files {
    fn new(mesh: &Authority) -> Self {
        let files =
            Files { gateway: tempfile::tempdir().unwrap(), sidecar: tempfile::tempdir().unwrap() };
        files.trust(&mesh.pem());
        files.identify(mesh);
        files
    }

    /// Replaces both sides' authorities.
    fn trust(&self, authorities: &str) {
        replace(&self.gateway.path().join("root-cert.pem"), authorities);
        let trusted = json!({"trusted_ca": {"inline_string": authorities}});
        self.put_secret("roots", "validation_context", &trusted);
    }

    /// Replaces both sides' certificates; the gateway's new one.
    fn identify(&self, mesh: &Authority) -> Certificates {
        let own = mesh.issue_to(&Subject::new(&[]).common_name("workload").uri(GATEWAY));
        replace(&self.gateway.path().join("key.pem"), &own.key_pem);
        replace(&self.gateway.path().join("cert-chain.pem"), &own.chain_pem);
        let blue = mesh.issue_to(&Subject::new(&[]).common_name("workload").uri(BLUE));
        let pair = json!({
            "certificate_chain": {"inline_string": blue.chain_pem},
            "private_key": {"inline_string": blue.key_pem},
        });
        self.put_secret("own", "tls_certificate", &pair);
        own
    }

    fn put_secret(&self, name: &str, kind: &str, secret: &Value) {
        let of_type = api("transport_sockets.tls.v3.Secret");
        let resource = json!({"@type": of_type, "name": name, kind: secret});
        // Each has a directory of its own, as Envoy reads all that are in one when one changes.
        std::fs::create_dir_all(self.sidecar.path().join(name)).unwrap();
        replace(&self.secret(name), &json!({"resources": [resource]}).to_string());
    }

    fn secret(&self, name: &str) -> PathBuf {
        self.sidecar.path().join(name).join("secret.json")
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// The listener of a sidecar, as `inboundVirtual` has it for a port of HTTP.
fn inbound(files: &Files) -> Value {
    let secret = |name: &str| {
        json!({
            "name": name,
            "sds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": files.secret(name),
                    "watched_directory": {"path": files.sidecar.path().join(name)},
                },
            },
        })
    };
    let mut listener = listener("sidecar", "upstream");
    let chain = &mut listener["filter_chains"][0];
    chain["filter_chain_match"] =
        json!({"transport_protocol": "tls", "application_protocols": HTTP});
    chain["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": api("transport_sockets.tls.v3.DownstreamTlsContext"),
            "require_client_certificate": true,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [secret("own")],
                "combined_validation_context": {
                    "default_validation_context": {
                        "match_typed_subject_alt_names": [{
                            "san_type": "URI",
                            "matcher": {"prefix": "spiffe://cluster.local/"},
                        }],
                    },
                    "validation_context_sds_secret_config": secret("roots"),
                },
            },
        },
    });
    let manager = &mut chain["filters"][0]["typed_config"];
    manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    manager["route_config"]["request_headers_to_add"] = json!([
        {"header": {"key": "x-peer", "value": "%DOWNSTREAM_PEER_URI_SAN%"}},
        {"header": {"key": "x-asked", "value": "%REQUESTED_SERVER_NAME%"}},
        {"header": {"key": "x-protocol", "value": "%PROTOCOL%"}},
        {"header": {"key": "x-fingerprint", "value": "%DOWNSTREAM_PEER_FINGERPRINT_256%"}},
    ]);
    let inspector = api("filters.listener.tls_inspector.v3.TlsInspector");
    listener["listener_filters"] = json!([{
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {"@type": inspector},
    }]);
    listener
}

/// Everything to the sidecar, whose port has this name, under further words of the policy's `tls`.
fn manifests(sidecar: SocketAddr, port: &str, tls: &str) -> String {
    let service = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: blue}}\nspec:\n  hosts: [blue.example]\n  ports: [{{number: 80, name: {port}, protocol: {port}}}]\n  resolution: STATIC\n  endpoints: [{{address: {}, ports: {{{port}: {}}}}}]\n",
        sidecar.ip(),
        sidecar.port()
    );
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\nspec:\n  host: blue.example\n  trafficPolicy: {{tls: {{mode: ISTIO_MUTUAL{tls}}}}}\n"
    );
    join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        service,
        rule,
    ])
}

impl Scene {
    async fn open(upstream: SocketAddr, mesh: &Authority, port: &str, tls: &str) -> Self {
        Scene::before(cluster("upstream", upstream, &json!({})), mesh, port, tls).await
    }

    /// With this cluster behind the sidecar.
    async fn before(upstream: Value, mesh: &Authority, port: &str, tls: &str) -> Self {
        let files = Files::new(mesh);
        let sidecar = Envoy::start(&[inbound(&files)], &[upstream]).await;
        let manifests = manifests(sidecar.address("sidecar"), port, tls);
        let directory = files.gateway.path().to_str().unwrap();
        let gateway = Gateway::start_with(&manifests, &["--mesh-certificates", directory]).await;
        Scene { gateway, sidecar, files }
    }

    async fn client(&self) -> Client {
        Client::http1(self.gateway.address("http")).await.unwrap()
    }
}

#[tokio::test]
async fn http_passes_under_our_identity_by_the_name_of_the_cluster() {
    for (port, protocol) in [("http", "HTTP/1.1"), ("http2", "HTTP/2")] {
        let blue = Upstream::start("blue");
        let scene = Scene::open(blue.address(), &Authority::new(), port, "").await;
        let mut client = scene.client().await;
        for _ in 0..3 {
            let echo = client.call(Call::post(HOST, "/a", "hello")).await.json();
            let headers = &echo["headers"];
            assert_eq!(echo["body"], "hello");
            assert_eq!(
                (&headers["x-peer"], &headers["x-protocol"]),
                (&GATEWAY.into(), &protocol.into())
            );
            assert_eq!(headers["x-asked"], "outbound_.80_._.blue.example");
        }
        let reply = client.get(HOST, "/stream/4").await;
        assert_eq!(reply.body.len(), 4 << 20);
    }
}

#[tokio::test]
async fn trailers_pass_over_http2() {
    let blue = Upstream::start("blue");
    let scene = Scene::open(blue.address(), &Authority::new(), "grpc", "").await;
    let mut client = Client::h2c(scene.gateway.address("http")).await.unwrap();
    let reply = client.call(Call::get(HOST, "/trailers").accept_trailers()).await;
    assert!(reply.trailers.unwrap().contains_key("x-checksum"));
}

#[tokio::test]
async fn every_kind_of_grpc_call_passes() {
    let server = GrpcServer::start().await;
    let upstream = http2_cluster("upstream", server.address);
    let scene = Scene::before(upstream, &Authority::new(), "grpc", "").await;
    calls_pass(scene.gateway.address("http")).await;
}

#[tokio::test]
async fn websockets_pass() {
    let sockets = WebSocketUpstream::start().await;
    for port in ["http", "http2"] {
        let scene = Scene::open(sockets.address, &Authority::new(), port, "").await;
        let mut raw = RawConnection::connect(scene.gateway.address("http")).await.unwrap();
        raw.send(websocket_handshake(HOST, "/chat")).await.unwrap();
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw.send("ping").await.unwrap();
        assert_eq!(raw.read_exactly(4).await.unwrap(), b"ping");
    }
}

#[tokio::test]
async fn the_sidecars_identity_has_to_be_the_one_that_is_asked_for() {
    let blue = Upstream::start("blue");
    let good = format!(", subjectAltNames: ['{BLUE}']");
    let other = ", subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/green']";
    let scene = Scene::open(blue.address(), &Authority::new(), "http", &good).await;
    assert_eq!(scene.client().await.get(HOST, "/").await.status, 200);
    let mut scene = Scene::open(blue.address(), &Authority::new(), "http", other).await;
    assert_eq!(scene.client().await.get(HOST, "/").await.status, 503);
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" UF") && line.contains(&format!("found {BLUE}")), "{line}");
    assert_eq!(blue.seen().requests, 1);
}

#[tokio::test]
async fn a_sidecar_that_does_not_trust_us_is_heard() {
    let (blue, mesh) = (Upstream::start("blue"), Authority::new());
    let mut scene = Scene::open(blue.address(), &mesh, "http", "").await;
    let stranger = mesh.issue_to(
        &Subject::new(&[]).common_name("workload").uri("spiffe://elsewhere/ns/edge/sa/gateway"),
    );
    let directory = scene.files.gateway.path();
    replace(&directory.join("key.pem"), &stranger.key_pem);
    replace(&directory.join("cert-chain.pem"), &stranger.chain_pem);
    let mut client = scene.client().await;
    while client.get(HOST, "/").await.status == 200 {}
    let line = scene.gateway.access_line_with(" 503 ").await;
    assert!(line.contains(" UF") && line.contains("the peer refused"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_roots_are_replaced_under_load_without_a_failure() {
    let (blue, old, new) = (Upstream::start("blue"), Authority::new(), Authority::new());
    let scene = Scene::open(blue.address(), &old, "http", "").await;
    let (stop, stopped) = tokio::sync::watch::channel(String::new());
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let (mut client, stopped) = (scene.client().await, stopped.clone());
        asking.spawn(async move {
            let mut asked = 0;
            loop {
                let reply = client.call(Call::post(HOST, "/", "hello")).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                asked += 1;
                let wanted = stopped.borrow().clone();
                // Everybody goes on until they are known by the last certificate.
                if !wanted.is_empty() && reply.json()["headers"]["x-fingerprint"] == *wanted {
                    return asked;
                }
            }
        });
    }
    blue.until(|seen| seen.requests > 100).await;
    let before = scene.sidecar.counter("ssl_context_update_by_sds").await;
    scene.files.trust(&format!("{}{}", old.pem(), new.pem()));
    while scene.sidecar.counter("ssl_context_update_by_sds").await == before {}
    let mut last = scene.files.identify(&old);
    let mut watching = scene.client().await;
    let mut known_by = async |own: &Certificates| {
        let fingerprint = hex(&portcullis_testkit::sha256(&own.leaf_der));
        loop {
            let reply = watching.get(HOST, "/").await;
            assert_eq!(reply.status, 200, "{reply:?}");
            if reply.json()["headers"]["x-fingerprint"] == *fingerprint {
                return fingerprint;
            }
        }
    };
    known_by(&last).await;
    // The gateway has read both roots, as it read what was written after them.
    for mesh in [&new, &new] {
        last = scene.files.identify(mesh);
        known_by(&last).await;
    }
    scene.files.trust(&new.pem());
    last = scene.files.identify(&new);
    let fingerprint = known_by(&last).await;
    stop.send(fingerprint).unwrap();
    let asked: usize = asking.join_all().await.into_iter().sum();
    assert!(blue.seen().requests > asked, "each was executed");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
