//! Who a request's verified token says that it is.

use portcullis_crypto::jose::Claims;

/// What native authentication (`RequestAuthentication`) found; it stands in the record only where a token was verified.
#[derive(Debug)]
pub struct Authenticated {
    /// `iss/sub`, as Istio's `request.auth.principal`.
    pub principal: Box<str>,
    /// What the token says.
    pub claims: Claims,
}
