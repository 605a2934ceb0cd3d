//! What of a request the rules of a virtual host look at.

use portcullis_model::RequestMatch;

/// What the rules of a virtual host look at: a route stays right as long as nothing of that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aspects {
    /// Method, scheme, authority and path alone.
    #[default]
    Line,
    /// Header fields, the query or claims of the verified token as well.
    Fields,
}

impl Aspects {
    /// Those of all these conditions.
    pub(crate) fn of<'m>(conditions: impl IntoIterator<Item = &'m RequestMatch>) -> Self {
        let asks_of_fields = |conditions: &RequestMatch| {
            let RequestMatch { headers, without_headers, query, claims, .. } = conditions;
            !(headers.is_empty()
                && without_headers.is_empty()
                && query.is_empty()
                && claims.is_empty())
        };
        match conditions.into_iter().any(asks_of_fields) {
            true => Aspects::Fields,
            false => Aspects::Line,
        }
    }
}
