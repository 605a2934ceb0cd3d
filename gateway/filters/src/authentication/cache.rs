//! Tokens that were verified a moment ago, so that the next request with one of them need not be. One for each worker.

use std::sync::Arc;

use portcullis_crypto::jose::Validity;
use portcullis_exchange::Authenticated;
use rustc_hash::FxHashMap;

use super::outputs::Outputs;

/// A worker keeps tokens of so many bytes, or a little more, and what they say.
const MOST_BYTES: usize = 4 << 20;
/// What an entry takes beside its token, about.
const ENTRY_BYTES: usize = 512;

/// Verified tokens. Two halves: what is used moves to the newer one, and when that is full the older one goes.
#[derive(Debug, Default)]
pub struct TokenCache {
    newer: Half,
    older: Half,
}

#[derive(Debug, Default)]
struct Half {
    // Only what was signed by somebody who is trusted stands in it, so nobody else chooses the keys.
    tokens: FxHashMap<Box<str>, Arc<Verified>>,
    bytes: usize,
}

/// A token that was verified.
#[derive(Debug)]
pub(super) struct Verified {
    /// The number of the rule that it fits.
    pub(super) rule: u64,
    /// The number of the keys by which it was verified.
    pub(super) keys: u64,
    pub(super) validity: Validity,
    pub(super) identity: Arc<Authenticated>,
    pub(super) outputs: Outputs,
}

impl TokenCache {
    /// What is known of a token.
    pub(super) fn find(&mut self, token: &str) -> Option<Arc<Verified>> {
        if let Some(found) = self.newer.tokens.get(token) {
            return Some(found.clone());
        }
        let (token, found) = self.older.tokens.remove_entry(token)?;
        self.insert(token, found.clone());
        Some(found)
    }

    /// Keeps a token. What was known of it is replaced.
    pub(super) fn keep(&mut self, token: &str, verified: Arc<Verified>) {
        self.insert(token.into(), verified);
    }

    fn insert(&mut self, token: Box<str>, verified: Arc<Verified>) {
        // A token is kept twice: as it is, and as what it says.
        self.newer.bytes += 2 * token.len() + ENTRY_BYTES;
        self.newer.tokens.insert(token, verified);
        if self.newer.bytes > MOST_BYTES / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_crypto::jose::{KeySet, verify_token};

    use super::*;

    /// From RFC 7515 appendix A.1.
    fn verified(rule: u64) -> Arc<Verified> {
        let keys = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let token = verify_token(token, &KeySet::parse(keys.as_bytes()).unwrap()).unwrap();
        let validity = token.claims.validity().unwrap();
        let identity = Authenticated { principal: None, claims: token.claims };
        let outputs = Outputs::default();
        Arc::new(Verified { rule, keys: 1, validity, identity: Arc::new(identity), outputs })
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = TokenCache::default();
        cache.keep("used", verified(1));
        cache.keep("unused", verified(2));
        let long = "x".repeat(16 << 10);
        for n in 0..1000 {
            cache.keep(&format!("{n}{long}"), verified(3));
            assert_eq!(cache.find("used").map(|found| found.rule), Some(1));
        }
        assert!(cache.find("unused").is_none());
        let held = cache.newer.tokens.len() + cache.older.tokens.len();
        assert!(held < 2 * MOST_BYTES / long.len(), "{held}");
        cache.keep("used", verified(9));
        assert_eq!(cache.find("used").map(|found| found.rule), Some(9));
    }
}
