//! TLS before an upstream, as a sidecar has it: it ends here, and what is inside goes on in plain text.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificates;
use crate::patience::within;

/// Ends TLS before an upstream.
#[derive(Debug)]
pub struct TlsUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the handshakes were like.
#[derive(Clone, Debug, Default)]
pub struct HandshakesSeen {
    /// Those that succeeded.
    pub made: usize,
    /// Those of them that resumed a session.
    pub resumed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Connections that are open.
    pub open: usize,
    /// The server name that the last one asked for.
    pub server_name: Option<String>,
    /// The protocol that it settled on.
    pub protocol: Option<String>,
    /// The client's certificate, in DER.
    pub client: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    config: Mutex<Arc<ServerConfig>>,
    seen: watch::Sender<HandshakesSeen>,
}

impl TlsUpstream {
    /// Before an upstream, with a certificate.
    pub fn start(upstream: SocketAddr, own: &Certificates) -> Self {
        Self::start_with(upstream, config(own, None, &[]))
    }

    /// The same, asking every client for a certificate of an authority (PEM).
    pub fn start_mutual(upstream: SocketAddr, own: &Certificates, clients: &str) -> Self {
        Self::start_with(upstream, config(own, Some(clients), &[]))
    }

    fn start_with(upstream: SocketAddr, config: Arc<ServerConfig>) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            config: Mutex::new(config),
            seen: watch::Sender::new(HandshakesSeen::default()),
        });
        tokio::spawn(accept(TcpListener::from_std(listener).unwrap(), shared.clone()));
        TlsUpstream { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has later handshakes settle on the first of these protocols that the client offers.
    #[must_use]
    pub fn speaking(self, own: &Certificates, clients: Option<&str>, protocols: &[&str]) -> Self {
        *self.shared.config.lock().unwrap() = config(own, clients, protocols);
        self
    }

    /// Has later handshakes made with another certificate, and other authorities of clients.
    pub fn replace(&self, own: &Certificates, clients: Option<&str>) {
        *self.shared.config.lock().unwrap() = config(own, clients, &[]);
    }

    /// What it has seen so far.
    pub fn seen(&self) -> HandshakesSeen {
        self.shared.seen.borrow().clone()
    }

    /// Awaits the moment when what it has seen fulfils a condition.
    pub async fn until(&self, condition: impl FnMut(&HandshakesSeen) -> bool) -> HandshakesSeen {
        let mut seen = self.shared.seen.subscribe();
        within("the handshake", async { seen.wait_for(condition).await.unwrap().clone() }).await
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let config = shared.config.lock().unwrap().clone();
        let shared = shared.clone();
        tokio::spawn(async move {
            let _delayed = stream.set_nodelay(true);
            let Ok(mut inside) = TlsAcceptor::from(config).accept(stream).await else {
                shared.seen.send_modify(|seen| seen.failed += 1);
                return;
            };
            shared.note(inside.get_ref().1);
            if let Ok(mut upstream) = TcpStream::connect(shared.upstream).await {
                let _delayed = upstream.set_nodelay(true);
                let _broken = copy_bidirectional(&mut inside, &mut upstream).await;
            }
            shared.seen.send_modify(|seen| seen.open -= 1);
        });
    }
}

impl Shared {
    fn note(&self, session: &ServerConnection) {
        self.seen.send_modify(|seen| {
            seen.made += 1;
            seen.open += 1;
            seen.resumed += usize::from(session.handshake_kind() == Some(HandshakeKind::Resumed));
            seen.server_name = session.server_name().map(ToOwned::to_owned);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            seen.protocol = session.alpn_protocol().map(text);
            let client = session.peer_certificates().and_then(<[_]>::first);
            seen.client = client.map(|client| client.to_vec());
        });
    }
}

fn config(own: &Certificates, clients: Option<&str>, protocols: &[&str]) -> Arc<ServerConfig> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_slice_iter(own.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
                roots.add(root.unwrap()).unwrap();
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
