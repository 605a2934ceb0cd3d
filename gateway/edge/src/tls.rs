//! TLS as it ends here: the policy for a server name, always from the current snapshot.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_crypto::CertificateFacts;
use portcullis_exchange::{TlsFacts, TlsStanding, forwarded_client_cert};
use portcullis_proxy::Worker as ProxyWorker;
use portcullis_snapshot::{ALPN_H2, SocketKey, TlsPolicy};
use rustls::server::Acceptor;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// What the client chose to speak inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Http1,
    Http2,
}

/// A handshake that was made.
pub(crate) struct Shaken<I> {
    pub(crate) stream: TlsStream<I>,
    pub(crate) facts: TlsFacts,
    pub(crate) chosen: Chosen,
}

/// Makes a handshake under the policy that the snapshot of this moment has for the name asked for.
pub(crate) async fn handshake<I>(
    proxy: &ProxyWorker,
    socket: SocketKey,
    io: I,
) -> io::Result<Shaken<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    shake_hands(proxy, socket, io, |config| config).await
}

/// The same for a listener that passes on what is inside: whatever protocol the client offers is none of ours.
pub(crate) async fn handshake_for_bytes<I>(
    proxy: &ProxyWorker,
    socket: SocketKey,
    io: I,
) -> io::Result<Shaken<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    shake_hands(proxy, socket, io, |config| {
        let mut config = ServerConfig::clone(&config);
        config.alpn_protocols.clear();
        Arc::new(config)
    })
    .await
}

async fn shake_hands<I>(
    proxy: &ProxyWorker,
    socket: SocketKey,
    io: I,
    adapt: fn(Arc<ServerConfig>) -> Arc<ServerConfig>,
) -> io::Result<Shaken<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    let reception = receive(proxy, socket, start.client_hello().server_name())?;
    let (generation, policy) = match reception {
        Reception::Under { generation, policy } => (generation, policy),
        Reception::Refused(config) => {
            // The handshake fails, and the client is told.
            start.into_stream(config).await?;
            return Err(io::Error::other("no certificate for this name"));
        }
    };
    let stream = start.into_stream(adapt(policy.config.clone())).await?;
    let (_, connection) = stream.get_ref();
    let facts = facts(connection, generation, &policy)?;
    let chosen = match connection.alpn_protocol() {
        Some(ALPN_H2) => Chosen::Http2,
        _ => Chosen::Http1,
    };
    Ok(Shaken { stream, facts, chosen })
}

/// How a client is received.
enum Reception {
    Under { generation: u64, policy: Arc<TlsPolicy> },
    Refused(Arc<ServerConfig>),
}

fn receive(
    proxy: &ProxyWorker,
    socket: SocketKey,
    server_name: Option<&str>,
) -> io::Result<Reception> {
    let snapshot = proxy.pin();
    let gone = || io::Error::other("the listener is gone");
    let table = &snapshot.socket(socket).ok_or_else(gone)?.tls;
    match table.find(server_name) {
        Some(policy) => {
            Ok(Reception::Under { generation: snapshot.generation, policy: policy.clone() })
        }
        None => table.refusing().cloned().map(Reception::Refused).ok_or_else(gone),
    }
}

/// What the client's certificate says, read once for the connection. A resumed session does not verify it
/// again, so its time is looked at here.
fn peer(
    connection: &ServerConnection,
    policy: &TlsPolicy,
) -> io::Result<Option<Box<CertificateFacts>>> {
    let chain = connection.peer_certificates().filter(|chain| policy.vouches(chain));
    let Some(certificate) = chain.and_then(<[_]>::first) else { return Ok(None) };
    let facts = CertificateFacts::read(certificate).map_err(io::Error::other)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let now = i64::try_from(since.as_secs()).map_err(io::Error::other)?;
    match facts.is_valid_at(now) {
        true => Ok(Some(Box::new(facts))),
        false => Err(io::Error::other("the client's certificate has expired")),
    }
}

fn facts(
    connection: &ServerConnection,
    generation: u64,
    policy: &TlsPolicy,
) -> io::Result<TlsFacts> {
    let peer = peer(connection, policy)?;
    let local = policy.local.clone();
    Ok(TlsFacts {
        forwarded_client_cert: peer
            .as_deref()
            .and_then(|peer| forwarded_client_cert(local.as_deref(), peer)),
        peer,
        local,
        standing: TlsStanding::new(policy.verdict, generation, policy.id.number()),
        server_name: connection.server_name().map(Into::into),
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "unknown",
        },
        cipher_suite: match connection.negotiated_cipher_suite().map(|suite| suite.suite()) {
            // rustls has names of its own for these.
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
            Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
            Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
            Some(suite) => suite.as_str().unwrap_or("unknown"),
            None => "unknown",
        },
    })
}
