//! What the upstream is told of a good token: header fields that nobody but the gateway may set.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_crypto::jose::Claims;

use super::rule::JwtRule;

/// Fields to set, made once for each token.
#[derive(Debug, Default)]
pub(super) struct Outputs(Vec<(HeaderName, HeaderValue)>);

impl Outputs {
    /// What a rule tells of a token. Claims that are no text, number or boolean, or that no field can hold, are left out.
    pub(super) fn of(rule: &JwtRule, token: &str, claims: &Claims) -> Self {
        let payload = rule.payload_header.iter().filter_map(|name| {
            let part = token.split('.').nth(1)?;
            Some((name.clone(), HeaderValue::from_str(part).ok()?))
        });
        let claims = rule.claim_headers.iter().filter_map(|output| {
            let text = claims.written(&output.claim)?;
            Some((output.header.clone(), HeaderValue::from_str(&text).ok()?))
        });
        Outputs(payload.chain(claims).collect())
    }

    /// Sets them.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
    }
}
