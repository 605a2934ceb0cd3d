//! How TLS handshakes are made for a listener: rustls' configuration, compiled once and kept for as long as
//! the settings are the same.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_crypto::CertificateFacts;
use portcullis_exchange::Verdict;
use portcullis_model::{ClientAuth, TlsSettings};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};

/// ALPN's name of HTTP/2.
pub const ALPN_H2: &[u8] = b"h2";
/// ALPN's name of HTTP/1.1.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// One listener's TLS, or that of several whose settings are equal.
pub struct TlsPolicy {
    /// Tells policies apart; never given twice.
    pub id: PolicyId,
    /// For the handshake. Tickets that it gives are good with it alone: 0-RTT is off.
    pub config: Arc<ServerConfig>,
    /// What our own certificate says: the first one, where there are several.
    pub local: Option<Arc<CertificateFacts>>,
    /// What was asked of the client.
    pub verdict: Verdict,
    settings: TlsSettings,
}

/// A policy's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(NonZeroU64);

impl PolicyId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        PolicyId(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

impl TlsPolicy {
    /// Compiles settings; `None` where handshakes are refused: without certificate, or with clients to verify
    /// and nothing to verify them by. `renewed` is what the listener had before: tickets outlive a rotation
    /// of certificates and nothing else.
    pub(crate) fn compile(
        settings: &TlsSettings,
        renewed: Option<&TlsPolicy>,
    ) -> Option<Arc<Self>> {
        if settings.credentials.is_empty() || settings.client_auth == ClientAuth::Unverifiable {
            return None;
        }
        let ticketer = renewed
            .filter(|earlier| ask_the_same(&earlier.settings, settings))
            .map(|earlier| earlier.config.ticketer.clone());
        match server_config(settings, ticketer) {
            Ok(config) => Some(Arc::new(TlsPolicy {
                id: PolicyId::next(),
                config: Arc::new(config),
                local: settings.credentials.first().and_then(|c| c.facts()).map(Arc::new),
                verdict: verdict(&settings.client_auth),
                settings: settings.clone(),
            })),
            Err(_) => None,
        }
    }

    /// Whether a chain that a client presented says who it is: always where the handshake had to verify it.
    pub fn vouches(&self, chain: &[CertificateDer<'_>]) -> bool {
        match &self.settings.client_auth {
            ClientAuth::Verified(verification) => verification.vouches(chain, UnixTime::now()),
            ClientAuth::NotAsked | ClientAuth::Unverifiable => true,
        }
    }

    /// Whether these settings are what it was compiled from.
    pub(crate) fn is_of(&self, settings: &TlsSettings) -> bool {
        self.settings == *settings
    }

    /// Whether a client that shook hands under a verdict could do so now.
    pub(crate) fn accepts(&self, verdict: Verdict) -> bool {
        self.verdict == Verdict::NotAsked || self.verdict == verdict
    }
}

/// Whether clients that could shake hands under one could under the other, in the same way.
fn ask_the_same(one: &TlsSettings, other: &TlsSettings) -> bool {
    one.client_auth == other.client_auth
        && one.parameters == other.parameters
        && one.apart == other.apart
}

fn verdict(client_auth: &ClientAuth) -> Verdict {
    match client_auth {
        ClientAuth::Verified(verification) => Verdict::Verified(verification.fingerprint()),
        ClientAuth::NotAsked | ClientAuth::Unverifiable => Verdict::NotAsked,
    }
}

fn server_config(
    settings: &TlsSettings,
    ticketer: Option<Arc<dyn ProducesTickets>>,
) -> Result<ServerConfig, Error> {
    let verifier = match &settings.client_auth {
        ClientAuth::NotAsked => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Verified(verification) => {
            verification.verifier().map_err(|error| Error::General(error.to_string()))?
        }
        ClientAuth::Unverifiable => return Err(Error::NoCertificatesPresented),
    };
    let provider = Arc::new(settings.parameters.provider());
    let keys = settings.credentials.iter().map(|c| c.certified_key().clone()).collect();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&settings.parameters.versions())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByScheme(keys)));
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP_1_1.to_vec()];
    config.ticketer = match ticketer {
        Some(ticketer) => ticketer,
        None => Ticketer::new()?,
    };
    // Tickets need no memory of ours, nor the lock around it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Refuses every handshake, with an alert.
pub(crate) fn refusing_config() -> Option<Arc<ServerConfig>> {
    let parameters = portcullis_crypto::TlsParameters::default();
    let config = ServerConfig::builder_with_provider(Arc::new(parameters.provider()))
        .with_protocol_versions(&parameters.versions())
        .ok()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByScheme(Vec::new())));
    Some(Arc::new(config))
}

/// The first certificate whose key can sign as the client understands.
#[derive(Debug)]
struct ByScheme(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByScheme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // Where none fits, rustls says so to the client.
        self.0.iter().find(fits).or_else(|| self.0.first()).cloned()
    }
}

impl fmt::Debug for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsPolicy({}, {:?})", self.id.0, self.verdict)
    }
}
