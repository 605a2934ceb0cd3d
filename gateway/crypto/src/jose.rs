//! JSON Web Tokens: signatures (RFC 7515), keys (RFC 7517), claims (RFC 7519), by the rules of RFC 8725.
//!
//! A key says what it verifies, never the token: `none` does not exist, a key is used with the algorithms of its kind
//! alone (and with one alone where it names that), `kid` is a name and nothing else, `crit` is refused, and JSON and
//! base64url are read strictly.

mod algorithm;
mod key;
mod key_set;
mod strict_json;
mod token;

pub use algorithm::Algorithm;
pub use key_set::{KeySet, KeySetError, LeftOutKey};
pub use token::{
    Attempts, Claims, Expected, Signed, TokenError, UnverifiedToken, Validity, VerifiedToken,
    verify_token,
};

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;
