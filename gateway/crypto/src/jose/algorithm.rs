//! The algorithms by which tokens may be signed (RFC 7518 section 3, RFC 8037).

use crate::Hash;

/// An algorithm of a token's signature. `none` is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC: `HS256`, `HS384`, `HS512`.
    Hmac(Hash),
    /// RSASSA-PKCS1-v1_5: `RS256`, `RS384`, `RS512`.
    Rsa(Hash),
    /// RSASSA-PSS: `PS256`, `PS384`, `PS512`.
    RsaPss(Hash),
    /// ECDSA on P-256 with SHA-256: `ES256`.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384: `ES384`.
    EcdsaP384,
    /// ECDSA on P-521 with SHA-512: `ES512`.
    EcdsaP521,
    /// `EdDSA` on Ed25519.
    Ed25519,
}

impl Algorithm {
    /// Every algorithm with its name, as headers and keys write it.
    pub(super) const ALL: [(&str, Algorithm); 13] = [
        ("HS256", Algorithm::Hmac(Hash::Sha256)),
        ("HS384", Algorithm::Hmac(Hash::Sha384)),
        ("HS512", Algorithm::Hmac(Hash::Sha512)),
        ("RS256", Algorithm::Rsa(Hash::Sha256)),
        ("RS384", Algorithm::Rsa(Hash::Sha384)),
        ("RS512", Algorithm::Rsa(Hash::Sha512)),
        ("PS256", Algorithm::RsaPss(Hash::Sha256)),
        ("PS384", Algorithm::RsaPss(Hash::Sha384)),
        ("PS512", Algorithm::RsaPss(Hash::Sha512)),
        ("ES256", Algorithm::EcdsaP256),
        ("ES384", Algorithm::EcdsaP384),
        ("ES512", Algorithm::EcdsaP521),
        ("EdDSA", Algorithm::Ed25519),
    ];

    /// The algorithm of a name; names are case-sensitive.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}
