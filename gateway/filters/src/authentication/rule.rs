//! One of the `jwtRules` of a `RequestAuthentication`.

use http::HeaderName;

use super::key_source::KeyLocation;
use super::place::TokenPlace;

/// Whose tokens are taken, from where, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// `issuer`: the `iss` of its tokens.
    pub issuer: Box<str>,
    /// `audiences`: one of them has to be in `aud`; any will do where there are none.
    pub audiences: Vec<Box<str>>,
    /// `jwks`, `jwksUri`, or what the issuer says.
    pub keys: KeyLocation,
    /// `fromHeaders`, `fromParams`, `fromCookies`; [`TokenPlace::usual`] where none is written.
    pub places: Vec<TokenPlace>,
    /// `outputPayloadToHeader`: gets the token's second part as it is.
    pub payload_header: Option<HeaderName>,
    /// `outputClaimToHeaders`
    pub claim_headers: Vec<ClaimHeader>,
    /// `forwardOriginalToken`
    pub original: OriginalToken,
    /// `spaceDelimitedClaims`, beside `scope` and `permission`.
    pub word_claims: Vec<Box<str>>,
}

/// A header field that gets what a claim says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimHeader {
    /// `header`
    pub header: HeaderName,
    /// `claim`; a dot leads into objects, unless a claim has that name as a whole.
    pub claim: Box<str>,
}

/// What becomes of a token that was good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginalToken {
    /// The upstream does not get it.
    #[default]
    Removed,
    /// The upstream gets it too.
    Kept,
}

impl JwtRule {
    /// The claims that are lists of words (Istio's `spaceDelimitedClaims`).
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        ["scope", "permission"].into_iter().chain(self.word_claims.iter().map(|name| &**name))
    }

    /// The header fields that it sets, and that nobody else may.
    pub(super) fn output_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|output| &output.header))
    }

    /// Of this issuer, with inline keys, tokens in the usual places.
    pub fn for_test(issuer: &str, jwks: &str) -> Self {
        JwtRule {
            issuer: issuer.into(),
            audiences: Vec::new(),
            keys: KeyLocation::Inline(jwks.into()),
            places: TokenPlace::usual(),
            payload_header: None,
            claim_headers: Vec::new(),
            original: OriginalToken::Removed,
            word_claims: Vec::new(),
        }
    }
}
