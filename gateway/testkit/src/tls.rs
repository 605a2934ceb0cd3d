//! TLS as a test's client speaks it.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::certificates::Certificates;

/// How a client shakes hands: HTTP/1.1 with TLS 1.2 or 1.3 unless told otherwise.
#[derive(Clone, Debug)]
pub struct Tls {
    server_name: String,
    ca_pem: String,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    sends_name: bool,
}

impl Tls {
    /// Asks for a server name and trusts the authority of these certificates.
    pub fn new(server_name: &str, trusted: &Certificates) -> Self {
        Tls {
            server_name: server_name.to_owned(),
            ca_pem: trusted.ca_pem.clone(),
            protocols: vec![b"http/1.1".to_vec()],
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            sends_name: true,
        }
    }

    /// Offers HTTP/2 alone.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.protocols = vec![b"h2".to_vec()];
        self
    }

    /// Offers no application protocol at all.
    #[must_use]
    pub fn without_alpn(mut self) -> Self {
        self.protocols.clear();
        self
    }

    /// Speaks TLS 1.2 alone.
    #[must_use]
    pub fn tls12(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Sends no server name; the certificate is still checked against it.
    #[must_use]
    pub fn without_sni(mut self) -> Self {
        self.sends_name = false;
        self
    }

    /// Shakes hands on a connection.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.server_name.clone()).unwrap();
        TlsConnector::from(Arc::new(self.config())).connect(name, stream).await
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols.clone_from(&self.protocols);
        config.enable_sni = self.sends_name;
        config
    }
}
