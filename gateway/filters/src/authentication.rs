//! Native authentication by tokens (Istio's `RequestAuthentication`, Envoy's `jwt_authn`): which tokens a request
//! brings, whether they are good, and what the upstream hears of them.

mod cache;
mod key_source;
mod outputs;
mod place;
mod refusal;
mod request;
mod rule;

pub use cache::TokenCache;
pub use key_source::{
    KeyLocation, KeySource, KeyText, KeyUrl, NumberedKeys, RemoteKeys, RemoteLocation,
};
pub use place::TokenPlace;
pub use refusal::{ForeignAudience, TokenRefusal};
pub use request::RequestAuthentication;
pub use rule::{ClaimHeader, JwtRule, OriginalToken};

#[cfg(test)]
mod tests;
