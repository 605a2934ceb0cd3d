//! Verifying a client's certificate: a path to a trusted authority first, then names and pins.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName};
use rustls::{Error, SignatureScheme};

use crate::trust::VerifierError;
use crate::{CertificateFacts, TrustAnchors, sha256};

/// What is asked of the clients of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientVerification {
    /// Who vouches for them.
    pub anchors: TrustAnchors,
    /// What else their certificates have to be.
    pub rules: PeerRules,
    /// Whether there has to be one.
    pub demand: Demand,
}

/// Whether a client has to have a certificate. One that is presented is always verified, but for
/// [`Fallback`](Self::Fallback).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// None, no connection.
    Required,
    /// A client may have none.
    Optional,
    /// A client may have none, and one that is not good counts as none (Gateway API's `AllowInsecureFallback`):
    /// whoever reads it has to ask [`ClientVerification::vouches`] first.
    Fallback,
}

/// What a certificate has to be besides vouched for. An empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerRules {
    /// One of its subject alternative names has to be one of these; wildcards in a certificate match nothing
    /// but themselves.
    pub subject_alt_names: Vec<Box<str>>,
    /// SHA-256 of its public key with the algorithm, or …
    pub spki_sha256: Vec<[u8; 32]>,
    /// … SHA-256 of the whole has to be one of these.
    pub certificate_sha256: Vec<[u8; 32]>,
}

impl ClientVerification {
    /// For rustls.
    ///
    /// # Errors
    /// Not where the anchors were read by [`TrustAnchors::from_pem`].
    pub fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, VerifierError> {
        Ok(Arc::new(Verifier {
            path: self.anchors.leaf_verifier()?,
            revocation: self.anchors.chain_verifier()?,
            rules: self.rules.clone(),
            demand: self.demand,
        }))
    }

    /// Whether a chain that a client presented, the leaf first, is good now. It is wherever the handshake verified it.
    pub fn vouches(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        if self.demand != Demand::Fallback {
            return true;
        }
        let strict = ClientVerification { demand: Demand::Required, ..self.clone() };
        match (strict.verifier(), chain) {
            (Ok(verifier), [leaf, rest @ ..]) => {
                verifier.verify_client_cert(leaf, rest, now).is_ok()
            }
            _ => false,
        }
    }

    /// The same where the same clients would be let in.
    pub fn fingerprint(&self) -> [u8; 32] {
        let text = format!("{:?} {:?} {:?}", self.anchors.fingerprint(), self.rules, self.demand);
        sha256(text.as_bytes())
    }
}

impl PeerRules {
    /// Whether a certificate is what they ask for.
    pub fn admit(&self, facts: &CertificateFacts, der: &CertificateDer<'_>) -> bool {
        self.admits_names(facts) && self.admits_pins(facts, der)
    }

    fn admits_names(&self, facts: &CertificateFacts) -> bool {
        self.subject_alt_names.is_empty()
            || self.subject_alt_names.iter().any(|wanted| is_named(facts, wanted))
    }

    fn admits_pins(&self, facts: &CertificateFacts, der: &CertificateDer<'_>) -> bool {
        (self.spki_sha256.is_empty() && self.certificate_sha256.is_empty())
            || self.spki_sha256.contains(&facts.spki_sha256)
            || self.certificate_sha256.contains(&sha256(der))
    }
}

fn is_named(facts: &CertificateFacts, wanted: &str) -> bool {
    facts.uris.iter().any(|uri| uri == wanted)
        || facts.dns_names.iter().any(|name| name.eq_ignore_ascii_case(wanted))
        || facts.emails.iter().any(|email| email == wanted)
        || wanted.parse().is_ok_and(|address| facts.addresses.contains(&address))
}

struct Verifier {
    path: Arc<dyn ClientCertVerifier>,
    revocation: Option<Arc<dyn ClientCertVerifier>>,
    rules: PeerRules,
    demand: Demand,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.path.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Required
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.verify(end_entity, intermediates, now) {
            Err(_) if self.demand == Demand::Fallback => Ok(ClientCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.path.supported_verify_schemes()
    }
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.path.verify_client_cert(end_entity, intermediates, now)?;
        if let Some(revocation) = &self.revocation {
            revocation.verify_client_cert(end_entity, intermediates, now)?;
        }
        let facts = CertificateFacts::read(end_entity)
            .map_err(|_| Error::InvalidCertificate(TlsCertificateError::BadEncoding))?;
        match self.rules.admit(&facts, end_entity) {
            true => Ok(verified),
            false => {
                Err(Error::InvalidCertificate(TlsCertificateError::ApplicationVerificationFailure))
            }
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?}, {:?})", self.demand, self.rules)
    }
}
