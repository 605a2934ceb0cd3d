//! Who vouches for a peer's certificate: CA certificates, and the lists of what they revoked.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::{provider, sha256};

/// CA certificates with their revocation lists. Equal where the PEM was.
#[derive(Clone)]
pub struct TrustAnchors {
    roots: Arc<RootCertStore>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    fingerprint: [u8; 32],
}

/// Why CA certificates or revocation lists were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The PEM has no CA certificate that can be used.
    #[error("holds no usable PEM certificate ({0})")]
    Authority(String),
    /// The PEM has no revocation list that can be used.
    #[error("holds no usable PEM revocation list ({0})")]
    Revocations(String),
}

impl TrustAnchors {
    /// Reads PEM certificates and, where there are any, PEM revocation lists. Each one has to be usable: half
    /// of the authorities or half of the revocations is not what was meant.
    pub fn from_pem(authorities: &[u8], revocations: Option<&[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| authority(&error))?;
            roots.add(certificate).map_err(|error| authority(&error))?;
        }
        if roots.is_empty() {
            return Err(authority(&"no CERTIFICATE section"));
        }
        let anchors = TrustAnchors {
            roots: Arc::new(roots),
            revocations: revocations.map(read_revocations).transpose()?.unwrap_or_default(),
            fingerprint: fingerprint(authorities, revocations),
        };
        // What does not parse is found here and not when it is needed.
        anchors.leaf_verifier().map_err(|error| TrustError::Revocations(error.to_string()))?;
        Ok(anchors)
    }

    /// Reads a bundle as operating systems have it: what cannot be used of it is left out.
    ///
    /// # Errors
    /// Nothing of it can be used.
    pub fn from_bundle(authorities: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let readable = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok);
        roots.add_parsable_certificates(readable);
        if roots.is_empty() {
            return Err(authority(&"no CERTIFICATE section"));
        }
        let fingerprint = fingerprint(authorities, None);
        Ok(TrustAnchors { roots: Arc::new(roots), revocations: Vec::new(), fingerprint })
    }

    pub(crate) fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    pub(crate) fn revocations(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.revocations
    }

    /// Tells apart what would verify differently.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Verifies the chain. Where there are revocation lists, that of the leaf's issuer has to be among them and
    /// to be in force.
    pub(crate) fn leaf_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, VerifierError> {
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider())
            .with_crls(self.revocations.iter().cloned())
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration()
            .build()
    }

    /// Refuses a chain in which any certificate is revoked; `None` without revocation lists. Lists of every
    /// issuer are seldom at hand, so an authority that none speaks of is let through here.
    pub(crate) fn chain_verifier(
        &self,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, VerifierError> {
        if self.revocations.is_empty() {
            return Ok(None);
        }
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider())
            .with_crls(self.revocations.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
            .map(Some)
    }
}

/// What rustls says of roots or lists that it cannot use.
pub(crate) type VerifierError = rustls::server::VerifierBuilderError;

fn authority(error: &dyn fmt::Display) -> TrustError {
    TrustError::Authority(error.to_string())
}

fn read_revocations(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TrustError> {
    let unusable = |error: &dyn fmt::Display| TrustError::Revocations(error.to_string());
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(&error))?;
    if lists.is_empty() { Err(unusable(&"no X509 CRL section")) } else { Ok(lists) }
}

fn fingerprint(authorities: &[u8], revocations: Option<&[u8]>) -> [u8; 32] {
    let mut sums = [0; 64];
    let (first, second) = sums.split_at_mut(32);
    first.copy_from_slice(&sha256(authorities));
    if let Some(revocations) = revocations {
        second.copy_from_slice(&sha256(revocations));
    }
    sha256(&sums)
}

impl PartialEq for TrustAnchors {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roots, lists) = (self.roots.len(), self.revocations.len());
        write!(f, "TrustAnchors({roots} authorities, {lists} revocation lists)")
    }
}
