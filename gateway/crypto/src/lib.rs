//! Cryptography for the whole gateway, all of it by aws-lc-rs: the rustls provider, certificates and
//! keys, signatures. No I/O.
//!
//! What it is *not*: it holds no policy; who trusts what is configuration.

mod credential;
mod digest;
mod provider;
mod random;
mod signature;

pub use credential::{Credential, CredentialError};
pub use digest::{hex, sha256};
pub use provider::provider;
pub use random::fill_random;
pub use signature::{Hash, SignatureError, verify_signature};
