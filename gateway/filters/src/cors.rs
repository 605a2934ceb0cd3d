//! Cross-origin requests (Istio's `CorsPolicy`, Gateway API's `HTTPCORSFilter`, the Fetch standard).

use std::time::Duration;

use crate::Pattern;

/// Which scripts of other origins may make requests, and what they may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsPolicy {
    /// `allowOrigins`; one of them has to fit.
    pub allow_origins: Vec<OriginMatch>,
    /// `allowMethods`, joined as the header wants it; `None` leaves the header out.
    pub allow_methods: Option<Box<str>>,
    /// `allowHeaders`, joined.
    pub allow_headers: Option<Box<str>>,
    /// `exposeHeaders`, joined.
    pub expose_headers: Option<Box<str>>,
    /// `maxAge`
    pub max_age: Option<Duration>,
    /// `allowCredentials`
    pub allow_credentials: Option<bool>,
    /// `unmatchedPreflights`
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What becomes of a preflight request of an origin that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmatchedPreflights {
    /// It goes to the upstream like any other.
    #[default]
    Forward,
    /// It is answered without any header that allows something.
    Answer,
}

/// A condition on an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginMatch {
    /// Every origin (`*`).
    Any,
    /// Equal.
    Exact(Box<str>),
    /// Starts so.
    Prefix(Box<str>),
    /// Matches as a whole.
    Pattern(Pattern),
    /// Gateway API's `https://*.example.com`: this scheme, any name under that suffix (with its leading dot), and this
    /// port as written (empty for none).
    Subdomains {
        /// With `://`.
        scheme: Box<str>,
        /// With its leading dot.
        suffix: Box<str>,
        /// As `:8443`, or empty.
        port: Box<str>,
    },
}
