//! Who a request's verified token says that it is.

use portcullis_crypto::jose::Claims;

/// What native authentication (`RequestAuthentication`) found; it stands in the record only where a token was verified.
#[derive(Debug)]
pub struct Authenticated {
    /// `iss/sub`, as Istio's `request.auth.principal`; `None` where the token has no `sub`.
    pub principal: Option<Box<str>>,
    /// What the token says; claims of words, as `scope`, are lists.
    pub claims: Claims,
}
