//! The header operations of a rule and its destination, where Istio makes one list of them.

use portcullis_filters::HeaderOperations;
use portcullis_model::{Destination, HeaderOrder, Rule};

/// The operations of a rule and its only destination as one list.
pub(crate) struct OneList {
    pub(crate) request: HeaderOperations,
    pub(crate) reply: HeaderOperations,
}

/// The list of a rule whose order is one; few have operations in both places, and of the others none is needed.
pub(crate) fn one_list(rule: &Rule, destinations: &[Destination]) -> Option<Box<OneList>> {
    let [only] = destinations else { return None };
    let both = |own: &HeaderOperations, its: &HeaderOperations| !own.is_empty() && !its.is_empty();
    let is_needed = rule.header_order == HeaderOrder::OneList
        && (both(&rule.request_headers, &only.request_headers)
            || both(&rule.response_headers, &only.response_headers));
    is_needed.then(|| {
        Box::new(OneList {
            request: rule.request_headers.joined_with(&only.request_headers),
            reply: rule.response_headers.joined_with(&only.response_headers),
        })
    })
}
