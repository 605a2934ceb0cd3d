//! Protocol versions and cipher suites of a listener.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedProtocolVersion, version};

use crate::provider;

/// What a listener negotiates. The default is Mozilla's intermediate profile: TLS 1.2 and 1.3, AEAD with
/// ECDHE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsParameters {
    /// The versions of the protocol.
    pub versions: TlsVersions,
    /// The suites of TLS 1.2 that are allowed; empty for all. Those of TLS 1.3 are always allowed, as in Envoy.
    pub suites: Vec<Tls12Suite>,
}

/// The versions of TLS that are spoken; older ones never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// A cipher suite of TLS 1.2 that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls12Suite(CipherSuite);

/// What is known of the name of a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuiteName {
    /// It is served.
    Served(Tls12Suite),
    /// It belongs to TLS 1.3, where every suite is allowed anyway.
    Tls13,
    /// It exists, and is too weak: no forward secrecy, or no authenticated encryption.
    Weak,
    /// There is none of that name.
    Unknown,
}

const SERVED: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Envoy serves these when asked to; Mozilla's intermediate profile does not have them.
const WEAK: [&str; 10] = [
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
];

const TLS13: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// Looks up a suite by the name that OpenSSL and Envoy give it, or by that of the RFCs.
pub fn cipher_suite(name: &str) -> SuiteName {
    let is_served = |(known, suite): &&(&str, CipherSuite)| {
        *known == name || suite.as_str().is_some_and(|standard| standard == name)
    };
    if let Some((_, suite)) = SERVED.iter().find(is_served) {
        return SuiteName::Served(Tls12Suite(*suite));
    }
    if TLS13.contains(&name) {
        return SuiteName::Tls13;
    }
    if WEAK.contains(&name) { SuiteName::Weak } else { SuiteName::Unknown }
}

/// The names of the suites that are served.
pub fn served_suites() -> impl Iterator<Item = &'static str> {
    SERVED.iter().map(|(name, _)| *name)
}

impl TlsParameters {
    /// The provider with these suites alone, strongest first.
    pub fn provider(&self) -> CryptoProvider {
        let mut narrowed = provider().as_ref().clone();
        if !self.suites.is_empty() {
            narrowed.cipher_suites.retain(|suite| {
                suite.tls13().is_some() || self.suites.contains(&Tls12Suite(suite.suite()))
            });
        }
        narrowed
    }

    /// For rustls.
    pub fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        match self.versions {
            TlsVersions::Both => vec![&version::TLS13, &version::TLS12],
            TlsVersions::Only12 => vec![&version::TLS12],
            TlsVersions::Only13 => vec![&version::TLS13],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_of_envoy_and_of_the_standard() {
        let SuiteName::Served(suite) = cipher_suite("ECDHE-RSA-AES128-GCM-SHA256") else {
            panic!()
        };
        assert_eq!(cipher_suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), SuiteName::Served(suite));
        assert_eq!(cipher_suite("AES128-SHA"), SuiteName::Weak);
        assert_eq!(cipher_suite("TLS_AES_128_GCM_SHA256"), SuiteName::Tls13);
        assert_eq!(cipher_suite("ROT13"), SuiteName::Unknown);
    }

    #[test]
    fn every_suite_that_is_said_to_be_served_is() {
        for name in served_suites() {
            let SuiteName::Served(suite) = cipher_suite(name) else { panic!("{name}") };
            let parameters = TlsParameters { suites: vec![suite], ..TlsParameters::default() };
            let suites = parameters.provider().cipher_suites;
            assert_eq!(suites.iter().filter(|s| s.tls13().is_none()).count(), 1, "{name}");
            assert_eq!(suites.iter().filter(|s| s.tls13().is_some()).count(), 3, "{name}");
        }
    }
}
