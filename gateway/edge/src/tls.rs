//! TLS as it ends here: certificates by server name, always from the current snapshot.

use std::fmt;
use std::io;
use std::sync::Arc;

use portcullis_crypto::provider;
use portcullis_exchange::TlsFacts;
use portcullis_snapshot::{Published, SocketKey};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// ALPN's name of HTTP/2.
const H2: &[u8] = b"h2";
/// ALPN's name of HTTP/1.1.
const HTTP_1_1: &[u8] = b"http/1.1";

/// What the client chose to speak inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Http1,
    Http2,
}

/// How handshakes are made on one socket, for as long as it is open: a certificate that changes is simply
/// found by the next handshake. Session tickets are on, 0-RTT is off.
pub(crate) fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    config.ticketer = Ticketer::new()?;
    // Tickets need no memory of ours, nor the lock around it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Makes a handshake.
pub(crate) async fn handshake<I>(
    config: &Arc<ServerConfig>,
    io: I,
) -> io::Result<(TlsStream<I>, TlsFacts, Chosen)>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TlsAcceptor::from(config.clone()).accept(io).await?;
    let (_, connection) = stream.get_ref();
    let facts = facts(connection);
    let chosen = match connection.alpn_protocol() {
        Some(H2) => Chosen::Http2,
        _ => Chosen::Http1,
    };
    Ok((stream, facts, chosen))
}

/// The certificates of a socket in whatever snapshot is current when a client asks.
pub(crate) struct CurrentCertificates {
    pub(crate) published: Arc<Published>,
    pub(crate) socket: SocketKey,
}

impl ResolvesServerCert for CurrentCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.published.current();
        snapshot.socket(self.socket)?.certificates.find(hello.server_name()).cloned()
    }
}

impl fmt::Debug for CurrentCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurrentCertificates({:?})", self.socket)
    }
}

fn facts(connection: &ServerConnection) -> TlsFacts {
    TlsFacts {
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
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_crypto::Credential;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::DuplexStream;
    use tokio_rustls::TlsConnector;

    use super::*;

    /// What a socket's certificate table is to the product: one certificate, replaced at will.
    #[derive(Debug)]
    struct Replaceable(Mutex<Option<Arc<CertifiedKey>>>);

    impl ResolvesServerCert for Replaceable {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            self.0.lock().unwrap().clone()
        }
    }

    fn certificate() -> (Arc<CertifiedKey>, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let credential = Credential::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        (credential.certified_key().clone(), made.cert.der().clone())
    }

    fn client(trusted: &CertificateDer<'static>, alpn: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    async fn shake(
        server: &Arc<ServerConfig>,
        client: ClientConfig,
    ) -> io::Result<(TlsStream<DuplexStream>, TlsFacts, Chosen)> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("a.test").unwrap();
        let connect = TlsConnector::from(Arc::new(client)).connect(name, far);
        let (server, client) = tokio::join!(handshake(server, near), connect);
        client?;
        server
    }

    #[tokio::test]
    async fn the_handshake_settles_name_version_and_protocol() {
        let (key, trusted) = certificate();
        let config = server_config(Arc::new(Replaceable(Mutex::new(Some(key))))).unwrap();
        let (_, facts, chosen) = shake(&config, client(&trusted, &[H2, HTTP_1_1])).await.unwrap();
        assert_eq!(facts.server_name.as_deref(), Some("a.test"));
        assert_eq!(facts.version, "TLSv1.3");
        assert!(facts.cipher_suite.starts_with("TLS_"), "{}", facts.cipher_suite);
        assert_eq!(chosen, Chosen::Http2);
        let (_, _, chosen) = shake(&config, client(&trusted, &[])).await.unwrap();
        assert_eq!(chosen, Chosen::Http1);
    }

    #[tokio::test]
    async fn a_new_certificate_serves_the_next_handshake() {
        let ((first, trusted_first), (second, trusted_second)) = (certificate(), certificate());
        let current = Arc::new(Replaceable(Mutex::new(Some(first))));
        let config = server_config(current.clone()).unwrap();
        shake(&config, client(&trusted_first, &[])).await.unwrap();
        *current.0.lock().unwrap() = Some(second);
        shake(&config, client(&trusted_second, &[])).await.unwrap();
        assert!(shake(&config, client(&trusted_first, &[])).await.is_err());
    }

    #[tokio::test]
    async fn a_name_without_certificate_is_refused() {
        let (_, trusted) = certificate();
        let config = server_config(Arc::new(Replaceable(Mutex::new(None)))).unwrap();
        assert!(shake(&config, client(&trusted, &[])).await.is_err());
    }
}
