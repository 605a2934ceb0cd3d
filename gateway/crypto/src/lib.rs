//! Cryptography for the whole gateway, all of it by aws-lc-rs: the rustls provider, certificates and
//! keys, signatures. No I/O.
//!
//! What it is *not*: it holds no policy; who trusts what is configuration.

mod certificate_facts;
mod client_verification;
mod credential;
mod digest;
mod distinguished_name;
pub mod jose;
mod message_code;
mod parameters;
mod provider;
mod public_key;
mod random;
mod server_names;
mod server_verification;
#[cfg(test)]
mod server_verification_tests;
mod signature;
mod signing_key;
mod trust;
#[cfg(test)]
mod verification_tests;
mod websocket;

pub use certificate_facts::{CertificateError, CertificateFacts};
pub use client_verification::{ClientVerification, Demand, PeerRules};
pub use credential::{Credential, CredentialError};
pub use digest::{hex, sha256};
pub use message_code::{digest_of, hmac_of};
pub use parameters::{
    SuiteName, Tls12Suite, TlsParameters, TlsVersions, cipher_suite, served_suites,
};
pub use provider::provider;
pub use public_key::PublicKey;
pub use random::fill_random;
pub use server_names::ServerNames;
pub use server_verification::{ServerVerification, handshake_failure, is_about_name};
pub use signature::{Hash, SignatureError, verify_signature};
pub use signing_key::{SigningKey, SigningKeyError};
pub use trust::{TrustAnchors, TrustError};
pub use websocket::{websocket_accept, websocket_key};
