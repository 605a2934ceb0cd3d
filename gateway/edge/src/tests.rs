//! Workers as a whole: real sockets, real requests.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_crypto::{Credential, provider};
use portcullis_model::ListenerProtocol;
use portcullis_proxy::CutReason;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::problems::PORT_IN_USE;
use crate::test_gateway::{Client, TestGateway, http, https};
use crate::{Idle, Settings};

/// Longer than anything here takes.
const AMPLE: Duration = Duration::from_secs(60);

fn gateway(workers: usize) -> TestGateway {
    TestGateway::start(Settings { workers, ..Settings::for_test() })
}

#[tokio::test]
async fn http1_connections_are_kept_alive() {
    let mut gateway = gateway(1);
    assert_eq!(gateway.apply(vec![http("web", 80)]), []);
    let mut client = Client::connect(gateway.address("web")).await;
    for _ in 0..3 {
        let response = client.ask().await;
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("web"), "{response}");
    }
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let mut gateway = gateway(2);
    gateway.apply(vec![http("web", 80)]);
    let stream = TcpStream::connect(gateway.address("web")).await.unwrap();
    let (mut sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a.test/").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "web");
}

#[tokio::test]
async fn connections_spread_over_the_workers() {
    let mut gateway = gateway(2);
    gateway.apply(vec![http("web", 80)]);
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(gateway.address("web")).await;
        client.ask().await;
        clients.push(client);
    }
    assert_eq!([gateway.workers.load_of(0), gateway.workers.load_of(1)], [3, 3]);
    assert_eq!(gateway.workers.collect_shards().await.len(), 2);
}

#[test]
fn listeners_of_one_port_share_one_address() {
    let mut gateway = gateway(1);
    gateway.apply(vec![http("a", 80), http("b", 80), http("c", 443)]);
    let bound = gateway.workers.bound();
    let servers: Vec<&str> = bound.iter().map(|bound| &*bound.server).collect();
    assert_eq!(servers, ["a", "b", "c"]);
    assert_eq!(gateway.address("a"), gateway.address("b"));
    assert_ne!(gateway.address("a"), gateway.address("c"));
    assert_eq!((&*bound[0].gateway, bound[0].port), ("default/gw", 80));
}

#[tokio::test]
async fn a_port_in_use_is_a_problem_until_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut settings = Settings::for_test();
    settings.port_map.insert(8080, port);
    let mut gateway = TestGateway::start(settings);
    let listeners = || vec![http("web", 80), http("blocked", 8080)];

    let problems = gateway.apply(listeners());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].code, PORT_IN_USE);
    assert_eq!(problems[0].field, "spec.servers[1].port");
    assert_eq!(problems[0].object.as_ref().unwrap().to_string(), "Gateway/default/gw");
    assert!(problems[0].help.contains("--port-map 8080="), "{}", problems[0]);
    Client::connect(gateway.address("web")).await.ask().await;

    drop(taken);
    assert_eq!(gateway.apply(listeners()), []);
    let response = Client::connect(gateway.address("blocked")).await.ask().await;
    assert!(response.ends_with("blocked"));
}

#[tokio::test]
async fn a_removed_listener_lets_go_of_its_port_and_its_connections() {
    let mut gateway = gateway(2);
    gateway.apply(vec![http("web", 80), http("old", 443)]);
    let address = gateway.address("old");
    let mut client = Client::connect(address).await;
    client.ask().await;

    gateway.apply(vec![http("web", 80)]);
    assert_eq!(client.read_to_end().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    assert!(TcpListener::bind(address).is_ok());
}

#[tokio::test]
async fn connections_outlive_a_change_of_routes() {
    let mut gateway = gateway(1);
    gateway.apply(vec![http("web", 80)]);
    let address = gateway.address("web");
    let mut client = Client::connect(address).await;
    assert!(client.ask().await.ends_with("web"));
    gateway.apply(vec![http("next", 80)]);
    assert!(client.ask().await.ends_with("next"));
    assert_eq!(gateway.address("next"), address);
}

#[tokio::test]
async fn a_port_may_change_from_http_to_https_under_its_socket() {
    let mut gateway = gateway(1);
    gateway.apply(vec![http("web", 80)]);
    let address = gateway.address("web");
    let mut plain = Client::connect(address).await;
    plain.ask().await;

    let (credential, trusted) = certificate();
    gateway.apply(vec![https("web", 80, credential)]);
    assert_eq!(gateway.workers.bound()[0].protocol, ListenerProtocol::Https);
    assert_eq!(gateway.address("web"), address);
    let reply = ask_over_tls(address, trusted).await;
    assert!(reply.ends_with("web"), "{reply}");
    // Whoever was connected in plain text never made the handshake that is asked for now.
    let reply = plain.ask().await;
    assert!(reply.starts_with("HTTP/1.1 421 "), "{reply}");
    assert_eq!(plain.read_to_end().await, "");
}

#[tokio::test]
async fn a_drain_loses_no_request() {
    let mut gateway = gateway(2);
    gateway.apply(vec![http("web", 80)]);
    let address = gateway.address("web");
    let (mut early, mut idle) = (Client::connect(address).await, Client::connect(address).await);
    early.ask().await;
    idle.ask().await;

    gateway.workers.begin_drain();
    assert!(early.ask().await.contains("connection: close"));
    assert_eq!(early.read_to_end().await, "");
    let mut late = Client::connect(address).await;
    assert!(late.ask().await.contains("connection: close"));

    // Connected, but perhaps not accepted yet.
    let mut waiting = Client::connect(address).await;
    gateway.workers.stop_accepting();
    assert!(waiting.ask().await.contains("connection: close"));
    assert_eq!(idle.read_to_end().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(gateway.workers.wait_idle(AMPLE).await, Idle::Reached);
    assert_eq!(gateway.apply(vec![http("web", 80), http("more", 443)]), []);
    assert_eq!(gateway.workers.bound(), []);
}

#[tokio::test]
async fn a_successor_takes_the_sockets_and_whoever_waits_on_them() {
    let mut old = gateway(2);
    old.apply(vec![http("old", 80), http("gone", 443)]);
    let (address, gone) = (old.address("old"), old.address("gone"));
    let (mut known, mut idle) = (Client::connect(address).await, Client::connect(address).await);
    known.ask().await;
    idle.ask().await;

    let mut new = gateway(2);
    new.workers.adopt(old.workers.hand_out().unwrap());
    old.workers.leave_sockets();
    let mut waiting = Client::connect(address).await;
    new.apply(vec![http("new", 80)]);
    assert_eq!(new.address("new"), address, "port 0 stays what it was");
    assert!(waiting.ask().await.ends_with("new"));
    assert!(TcpStream::connect(gone).await.is_err(), "nobody wants it any more");

    // Those who were idle are not closed on: one of them may just be sending.
    assert!(known.ask().await.contains("connection: close"));
    while old.workers.active() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(old.workers.active(), 1);
    old.workers.stop_accepting();
    assert_eq!(idle.read_to_end().await, "");
    assert_eq!(old.workers.wait_idle(AMPLE).await, Idle::Reached);
    assert!(waiting.ask().await.ends_with("new"));
}

#[tokio::test]
async fn what_does_not_end_can_be_cut() {
    let mut gateway = gateway(1);
    gateway.apply(vec![http("web", 80)]);
    let mut client = Client::connect(gateway.address("web")).await;
    client.ask().await;
    assert_eq!(gateway.workers.wait_idle(Duration::ZERO).await, Idle::StillActive(1));
    gateway.workers.cut_all(CutReason::ShutDown);
    assert_eq!(gateway.workers.wait_idle(AMPLE).await, Idle::Reached);
    assert_eq!(client.read_to_end().await, "");
}

fn certificate() -> (Credential, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let credential = Credential::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    (credential, made.cert.der().clone())
}

async fn ask_over_tls(address: SocketAddr, trusted: CertificateDer<'static>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("a.test").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}
