//! A certificate chain with its private key, checked to belong together.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::{CertificateFacts, provider, sha256};

/// A certificate chain and its key, ready for handshakes. Equal where the PEM was.
#[derive(Clone)]
pub struct Credential {
    certified: Arc<CertifiedKey>,
    fingerprint: [u8; 32],
}

/// Why a certificate and key were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The certificate's PEM has no readable certificate.
    #[error("holds no readable PEM certificate ({0})")]
    Certificate(String),
    /// The key's PEM has no readable private key.
    #[error("holds no readable PEM private key ({0})")]
    Key(String),
    /// The key is of a kind that TLS here does not use.
    #[error("holds a private key of an unsupported kind ({0})")]
    KeyKind(String),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// What should be an OCSP response is none.
    #[error("holds no OCSP response in DER")]
    Staple,
}

impl Credential {
    /// Reads a PEM chain (leaf first) and a PEM key (PKCS#8, SEC1 or PKCS#1).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let certificates = read_chain(chain)?;
        let private = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CredentialError::Key(error.to_string()))?;
        let signer = provider()
            .key_provider
            .load_private_key(private)
            .map_err(|error| CredentialError::KeyKind(error.to_string()))?;
        let certified = CertifiedKey::new(certificates, signer);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(CredentialError::Mismatch),
            Err(error) => return Err(CredentialError::Certificate(error.to_string())),
        }
        Ok(Credential { certified: Arc::new(certified), fingerprint: fingerprint(chain, key) })
    }

    /// The same with an OCSP response in DER, which clients get that ask for one.
    pub fn with_staple(self, response: &[u8]) -> Result<Self, CredentialError> {
        if !is_one_der_sequence(response) {
            return Err(CredentialError::Staple);
        }
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.ocsp = Some(response.to_vec());
        let both = [self.fingerprint, sha256(response)];
        Ok(Credential { certified: Arc::new(certified), fingerprint: sha256(both.as_flattened()) })
    }

    /// What the certificate says; `None` where it says it in a way that nobody should repeat.
    pub fn facts(&self) -> Option<CertificateFacts> {
        CertificateFacts::read(self.certified.cert.first()?).ok()
    }

    /// Whether the key is one for RSA: slower than others, and understood by every client.
    pub fn is_rsa(&self) -> bool {
        self.certified.key.algorithm() == rustls::SignatureAlgorithm::RSA
    }

    /// For rustls.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// Whether the bytes are a SEQUENCE, whole and alone. The client checks the rest.
fn is_one_der_sequence(bytes: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = bytes else { return false };
    let (long, count) = (length & 0x80 != 0, usize::from(length & 0x7f));
    if !long {
        return rest.len() == count;
    }
    let Some((digits, content)) = rest.split_at_checked(count) else { return false };
    let announced = digits
        .iter()
        .try_fold(0_usize, |sum, digit| sum.checked_mul(256).map(|sum| sum + usize::from(*digit)));
    count > 0 && announced == Some(content.len())
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let unreadable = |error: &dyn fmt::Display| CredentialError::Certificate(error.to_string());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    if chain.is_empty() { Err(unreadable(&"no CERTIFICATE section")) } else { Ok(chain) }
}

fn fingerprint(chain: &[u8], key: &[u8]) -> [u8; 32] {
    let mut both = Vec::with_capacity(chain.len() + key.len() + 1);
    both.extend_from_slice(chain);
    both.push(0);
    both.extend_from_slice(key);
    sha256(&both)
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

/// Never shows the key.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} certificates)", self.certified.cert.len())
    }
}
