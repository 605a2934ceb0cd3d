//! TLS as a test's client speaks it.

use std::io;
use std::sync::{Arc, Mutex};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::certificates::Certificates;
use crate::tls_sessions::AnyServer;
use crate::tls_staple::StapleWatcher;

/// How a client shakes hands: HTTP/1.1 with TLS 1.2 or 1.3 unless told otherwise.
#[derive(Clone, Debug)]
pub struct Tls {
    server_name: String,
    ca_pem: String,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    sends_name: bool,
    suites: Vec<CipherSuite>,
    rsa_only: bool,
    own: Option<Certificates>,
    /// What clones share.
    kept: Option<Arc<ClientConfig>>,
    staple: Arc<Mutex<Vec<u8>>>,
    leaf: Arc<Mutex<Vec<u8>>>,
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
            suites: Vec::new(),
            rsa_only: false,
            own: None,
            kept: None,
            staple: Arc::default(),
            leaf: Arc::default(),
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

    /// Speaks TLS 1.3 alone.
    #[must_use]
    pub fn tls13(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS13];
        self
    }

    /// Offers these cipher suites alone.
    #[must_use]
    pub fn suites(mut self, suites: &[CipherSuite]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    /// Understands signatures by RSA keys alone.
    #[must_use]
    pub fn rsa_only(mut self) -> Self {
        self.rsa_only = true;
        self
    }

    /// Has a certificate.
    #[must_use]
    pub fn presenting(mut self, certificates: &Certificates) -> Self {
        self.own = Some(certificates.clone());
        self
    }

    /// Keeps sessions from here on, and offers them to whomever it connects to: clones share them.
    #[must_use]
    pub fn keeping_sessions(mut self) -> Self {
        let mut config = self.config();
        config.resumption = Resumption::store(Arc::new(AnyServer::new()));
        self.kept = Some(Arc::new(config));
        self
    }

    /// Asks for another server name.
    #[must_use]
    pub fn asking_for(mut self, server_name: &str) -> Self {
        server_name.clone_into(&mut self.server_name);
        self
    }

    /// Shakes hands on a connection.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(self.connect_watching(stream).await?.0)
    }

    /// The same, with the OCSP response that came with the server's certificate.
    pub(crate) async fn connect_watching(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Vec<u8>)> {
        let name = ServerName::try_from(self.server_name.clone()).unwrap();
        let config = self.kept.clone().unwrap_or_else(|| Arc::new(self.config()));
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        let staple = self.staple.lock().unwrap().clone();
        Ok((stream, staple))
    }

    /// The certificate that the server shows, in DER, whatever comes of the handshake.
    pub async fn shown(&self, stream: TcpStream) -> Vec<u8> {
        // Whether the client likes what it sees does not matter here.
        let _ = self.connect(stream).await;
        self.leaf.lock().unwrap().clone()
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(self.provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let watcher = StapleWatcher {
            usual: verifier.build().unwrap(),
            staple: self.staple.clone(),
            leaf: self.leaf.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(watcher));
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain_pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config.enable_sni = self.sends_name;
        config
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| self.suites.contains(&suite.suite()));
        }
        if self.rsa_only {
            let all = provider.signature_verification_algorithms;
            let is_rsa = |scheme: &SignatureScheme| format!("{scheme:?}").starts_with("RSA");
            let mapping: Vec<_> =
                all.mapping.iter().filter(|(scheme, _)| is_rsa(scheme)).copied().collect();
            // Of a test's life, which is the process's.
            let mapping = Box::leak(mapping.into_boxed_slice());
            provider.signature_verification_algorithms.mapping = mapping;
        }
        provider
    }
}
