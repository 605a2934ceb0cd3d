//! The configuration as written; names as in Istio's RequestAuthentication where it has one.

use portcullis_sdk::configuration;
use serde_json::Value;

/// The whole configuration.
#[configuration]
#[derive(Debug)]
pub struct Settings {
    /// One for each issuer.
    pub jwt_rules: Vec<RuleSettings>,
    /// What becomes of a request without a token.
    #[serde(default)]
    pub missing_token: MissingToken,
    /// Seconds by which clocks may differ, for `exp` and `nbf`.
    #[serde(default = "minute")]
    pub leeway: u32,
}

fn minute() -> u32 {
    60
}

/// What becomes of a request without a token.
#[configuration]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingToken {
    /// 401
    #[default]
    Refuse,
    /// It passes, as in Istio's RequestAuthentication.
    Allow,
}

/// One issuer: its keys, where its tokens are looked for, what is made of their claims.
#[configuration]
#[derive(Debug)]
pub struct RuleSettings {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud` must name one of these; empty means that any will do.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The keys: a JWK set, as an object or as a string that holds one.
    pub jwks: Value,
    /// Where tokens are looked for; by default `authorization: Bearer`.
    #[serde(default)]
    pub from_headers: Vec<HeaderSettings>,
    /// Whether the upstream gets to see the token.
    #[serde(default)]
    pub forward_original_token: bool,
    /// Claims handed on as headers.
    #[serde(default)]
    pub output_claim_to_headers: Vec<ClaimSettings>,
    /// A header that gets the token's payload, still in base64url.
    #[serde(default)]
    pub output_payload_to_header: Option<String>,
}

/// A header in which a token may be.
#[configuration]
#[derive(Debug)]
pub struct HeaderSettings {
    /// The header's name.
    pub name: String,
    /// What stands before the token; a value without it holds none.
    #[serde(default)]
    pub prefix: String,
}

/// A claim and the header that it becomes.
#[configuration]
#[derive(Debug)]
pub struct ClaimSettings {
    /// The header's name.
    pub header: String,
    /// The claim; one inside another by a dotted path.
    pub claim: String,
}
