//! TLS to an upstream that is played by hand: what is trusted, resumed, reused, and what is never sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use portcullis_crypto::{Credential, ServerNames, ServerVerification, TrustAnchors, provider};
use portcullis_message::Body;
use portcullis_model as model;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::exchange_tests::{OK, get, settle, with_body};
use crate::test_upstream::on_worker;
use crate::{
    Caller, Cluster, ConnectError, Endpoint, Lease, Outcome, Pools, Spoken, UpstreamFailure,
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &Issuer, name: &str) -> Credential {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = params.signed_by(&key, issuer).unwrap();
    Credential::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

/// Whom an upstream is to prove to be: `shop.example`, by this authority.
fn client_tls(issuer: &Issuer) -> model::ClientTls {
    let anchors = TrustAnchors::from_pem(issuer.pem().as_bytes(), None).unwrap();
    model::ClientTls {
        verification: ServerVerification::Verified { anchors, names: ServerNames::Asked },
        credential: None,
        server_name: model::UpstreamServerName::Fixed("shop.example".into()),
        mesh: model::Mesh::Outside,
    }
}

/// A listener, and a cluster of it.
struct Scene {
    listener: TcpListener,
    settings: model::Cluster,
    cluster: Arc<Cluster>,
    acceptor: TlsAcceptor,
    pools: Pools,
}

impl Scene {
    async fn open(tls: model::ClientTls, server: &Credential) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = model::Cluster::for_test(&[(listener.local_addr().unwrap(), 1)]);
        settings.tls = model::UpstreamTls::Client(Arc::new(tls));
        let cluster = Cluster::new(&Arc::new(settings.clone()), None);
        let certified = rustls::sign::SingleCertAndKey::from(server.certified_key().clone());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certified));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Scene { listener, settings, cluster, acceptor, pools: Pools::new() }
    }

    /// One that trusts its upstream.
    async fn good() -> Self {
        let issuer = authority();
        Scene::open(client_tls(&issuer), &issue(&issuer, "shop.example")).await
    }

    fn endpoint(&self) -> Arc<Endpoint> {
        self.cluster.endpoints().remove(0)
    }

    async fn checkout_for(&self, caller: Caller<'_>) -> Result<Lease, ConnectError> {
        self.pools.checkout_for(&self.cluster, &self.endpoint(), Spoken::Http1, caller).await
    }

    async fn accept(&self) -> TlsStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(stream).await.unwrap()
    }

    /// A connection from both sides.
    async fn connect(&self) -> (Lease, TlsStream<TcpStream>) {
        let (lease, stream) = tokio::join!(self.checkout_for(Caller::default()), self.accept());
        (lease.unwrap(), stream)
    }

    async fn refused(&self) -> String {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            // Whatever is said inside TLS would be read here.
            let mut said = Vec::new();
            if let Ok(mut stream) = self.acceptor.accept(stream).await {
                let _ = stream.read_to_end(&mut said).await;
            }
            assert_eq!(said, b"", "nothing is sent to whom we do not trust");
        };
        let checkout = async {
            let error = self.checkout_for(Caller::default()).await.err().unwrap();
            match error.cause {
                UpstreamFailure::Tls(reason) => reason,
                other => panic!("{other:?}"),
            }
        };
        tokio::join!(checkout, accepting).0
    }
}

async fn read_head(stream: &mut TlsStream<TcpStream>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

async fn answer(stream: &mut TlsStream<TcpStream>, reply: &[u8]) {
    read_head(stream).await;
    stream.write_all(reply).await.unwrap();
    stream.flush().await.unwrap();
}

/// An exchange whose reply is read to its end.
async fn exchange(lease: Lease, stream: &mut TlsStream<TcpStream>) -> Bytes {
    let (reply, ()) = tokio::join!(lease.send(get()), answer(stream, OK.as_bytes()));
    reply.unwrap().into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_connection_is_used_again_and_a_session_resumed() {
    on_worker(async {
        let scene = Scene::good().await;
        let (lease, mut stream) = scene.connect().await;
        assert_eq!(lease.tls().unwrap().version, "TLSv1.3");
        assert_eq!(lease.tls().unwrap().peer.as_ref().unwrap().dns_names, ["shop.example"]);
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(exchange(lease, &mut stream).await, "ok");
        let lease = scene.checkout_for(Caller::default()).await.unwrap();
        assert!(lease.reused());
        assert_eq!(exchange(lease, &mut stream).await, "ok");
        scene.pools.close_idle();
        let (lease, mut stream) = scene.connect().await;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(exchange(lease, &mut stream).await, "ok");
    });
}

#[test]
fn large_bodies_pass_both_ways() {
    on_worker(async {
        let scene = Scene::good().await;
        let (lease, mut stream) = scene.connect().await;
        let sent = Bytes::from((0..3_000_000_u32).map(|n| n as u8).collect::<Vec<_>>());
        let play = async {
            read_head(&mut stream).await;
            let mut body = vec![0; 3_000_000];
            stream.read_exact(&mut body).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            stream.flush().await.unwrap();
        };
        let request = with_body(Method::POST, sent.clone().into());
        let asking = async {
            let reply = lease.send(request).await.unwrap();
            reply.into_body().collect().await.unwrap().to_bytes()
        };
        let (got, ()) = tokio::join!(asking, play);
        assert!(got == sent);
        assert_eq!(scene.pools.idle(), 1);
    });
}

#[test]
fn tickets_that_come_late_do_not_spoil_an_idle_connection_but_the_end_does() {
    on_worker(async {
        let scene = Scene::good().await;
        let (lease, mut stream) = scene.connect().await;
        exchange(lease, &mut stream).await;
        // New keys, as a peer may want at any time, are no answer to anything.
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        stream.flush().await.unwrap();
        settle().await;
        let lease = scene.checkout_for(Caller::default()).await.unwrap();
        assert!(lease.reused());
        exchange(lease, &mut stream).await;
        stream.shutdown().await.unwrap();
        settle().await;
        let (lease, _stream) = scene.connect().await;
        assert!(!lease.reused());
    });
}

#[test]
fn a_reply_that_ends_unannounced_is_broken() {
    on_worker(async {
        let scene = Scene::good().await;
        for (polite, whole) in [(true, true), (false, false)] {
            let (lease, mut stream) = scene.connect().await;
            let play = async {
                answer(&mut stream, b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\npart").await;
                if polite {
                    stream.shutdown().await.unwrap();
                }
                drop(stream);
            };
            let (reply, ()) = tokio::join!(lease.send(get()), play);
            let body = reply.unwrap().into_body().collect().await;
            assert_eq!(body.is_ok(), whole);
        }
    });
}

#[test]
fn an_early_answer_is_read_although_the_upload_fails() {
    on_worker(async {
        let scene = Scene::good().await;
        let (lease, mut stream) = scene.connect().await;
        let play = async {
            let reply = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
            answer(&mut stream, reply).await;
            // Closed with bytes unread: a reset.
            drop(stream);
        };
        let request = with_body(Method::POST, Body::from(Bytes::from(vec![0; 8 << 20])));
        let (reply, ()) = tokio::join!(lease.send(request), play);
        assert_eq!(reply.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn whom_we_do_not_trust_gets_nothing_and_is_named() {
    on_worker(async {
        let (ours, theirs) = (authority(), authority());
        let stranger = Scene::open(client_tls(&ours), &issue(&theirs, "shop.example")).await;
        let why = stranger.refused().await;
        assert!(why.contains("unknown authority") || why.contains("self-signed"), "{why}");
        let other = Scene::open(client_tls(&ours), &issue(&ours, "other.example")).await;
        assert_eq!(
            other.refused().await,
            "certificate has the wrong name: wanted shop.example, found other.example"
        );
        let plain = Scene::good().await;
        let play = async {
            let (mut stream, _) = plain.listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        };
        let (refused, _stream) = tokio::join!(plain.checkout_for(Caller::default()), play);
        assert_eq!(
            refused.err().unwrap().cause.to_string(),
            "TLS error: the peer does not speak TLS"
        );
    });
}

#[test]
fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    on_worker(async {
        let scene = Scene::good().await;
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = scene.checkout_for(Caller::default()).await.err().unwrap();
        assert_eq!(error.cause.to_string(), "TLS error: handshake timeout");
        assert!(begun.elapsed() <= scene.settings.pool.connect_timeout + Duration::from_millis(5));
    });
}

#[test]
fn tls_that_cannot_be_had_opens_no_connection() {
    on_worker(async {
        let scene = Scene::good().await;
        let mut settings = scene.settings.clone();
        settings.tls = model::UpstreamTls::Broken("there is no Secret/a/b".into());
        let cluster = Cluster::new(&Arc::new(settings), Some(&scene.cluster));
        let endpoint = scene.endpoint();
        let error = scene.pools.checkout(&cluster, &endpoint, Spoken::Http1).await.err().unwrap();
        assert_eq!(error.cause, UpstreamFailure::NoTls("there is no Secret/a/b".into()));
        assert_eq!(endpoint.connections(), 0);
    });
}

#[test]
fn connections_of_other_rules_are_not_used() {
    on_worker(async {
        let scene = Scene::good().await;
        let (lease, mut stream) = scene.connect().await;
        exchange(lease, &mut stream).await;
        let mut settings = scene.settings.clone();
        // The same rules once more, then none: a plain request must not go by TLS, nor the other way round.
        let same = Cluster::new(&Arc::new(settings.clone()), Some(&scene.cluster));
        let lease = scene.pools.checkout(&same, &scene.endpoint(), Spoken::Http1).await.unwrap();
        assert!(lease.reused());
        exchange(lease, &mut stream).await;
        settings.tls = model::UpstreamTls::Plain;
        let plain = Cluster::new(&Arc::new(settings), Some(&same));
        let lease = scene.pools.checkout(&plain, &scene.endpoint(), Spoken::Http1).await.unwrap();
        assert!(!lease.reused() && lease.tls().is_none());
    });
}

#[test]
fn a_proxy_header_goes_before_the_handshake_and_its_connection_serves_one_client() {
    on_worker(async {
        let mut scene = Scene::good().await;
        scene.settings.proxy_header = Some(model::UpstreamProxyHeader::V1);
        scene.cluster = Cluster::new(&Arc::new(scene.settings.clone()), None);
        let accept = async || {
            let (mut stream, _) = scene.listener.accept().await.unwrap();
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(stream.read_u8().await.unwrap());
            }
            let stream = scene.acceptor.accept(stream).await.unwrap();
            (String::from_utf8(line).unwrap(), stream)
        };
        let client = |port: u16| {
            let client = std::net::SocketAddr::from(([192, 0, 2, 1], port));
            Caller { authority: None, connection: Some((client, "10.0.0.1:80".parse().unwrap())) }
        };
        let (lease, (line, mut stream)) = tokio::join!(scene.checkout_for(client(4000)), accept());
        assert_eq!(line, "PROXY TCP4 192.0.2.1 10.0.0.1 4000 80\r\n");
        exchange(lease.unwrap(), &mut stream).await;
        let (other, (line, _stream)) = tokio::join!(scene.checkout_for(client(4001)), accept());
        assert!(!other.unwrap().reused() && line.contains(" 4001 "));
        assert!(scene.checkout_for(client(4000)).await.unwrap().reused());
    });
}

#[test]
fn the_name_asked_for_may_be_the_requests() {
    on_worker(async {
        let issuer = authority();
        let mut tls = client_tls(&issuer);
        tls.server_name = model::UpstreamServerName::Authority;
        let scene = Scene::open(tls, &issue(&issuer, "a.example")).await;
        let of = |authority| Caller { authority: Some(authority), connection: None };
        let (lease, mut stream) =
            tokio::join!(scene.checkout_for(of("a.example:8443")), scene.accept());
        assert_eq!(stream.get_ref().1.server_name(), Some("a.example"));
        exchange(lease.unwrap(), &mut stream).await;
        // What was proved for one name says nothing of another.
        let accepting =
            async { scene.listener.accept().await.map(|(s, _)| scene.acceptor.accept(s)) };
        let other = async {
            let (accepted, checked) = tokio::join!(
                async { accepting.await.unwrap().await },
                scene.checkout_for(of("b.example"))
            );
            drop(accepted);
            checked
        };
        let cause = other.await.err().unwrap().cause;
        let why = cause.to_string();
        assert!(why.contains("wanted b.example, found a.example"), "{why}");
        // A client must not have endpoints ejected by the names that it asks for.
        assert_eq!(Outcome::of(&cause), None);
    });
}
