//! What of a request a virtual host looks at.

use portcullis_model::RequestMatch;

/// What the rules of a virtual host look at beside the path: a route chosen once stays right as long as
/// nothing of this changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// The scheme.
    pub scheme: bool,
    /// The method.
    pub method: bool,
    /// The authority, apart from its choosing the virtual host.
    pub authority: bool,
    /// Header fields.
    pub headers: bool,
    /// The query.
    pub query: bool,
    /// Claims of the verified token.
    pub claims: bool,
}

impl Aspects {
    /// What these conditions look at besides.
    pub(crate) fn add(&mut self, conditions: &RequestMatch) {
        self.scheme |= conditions.scheme.is_some();
        self.method |= conditions.method.is_some();
        self.authority |= conditions.authority.is_some();
        self.headers |= !conditions.headers.is_empty() || !conditions.without_headers.is_empty();
        self.query |= !conditions.query.is_empty();
        self.claims |= !conditions.claims.is_empty();
    }
}
