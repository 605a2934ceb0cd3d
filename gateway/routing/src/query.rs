//! What of a request decides its route.

use http::{HeaderMap, Method};
use portcullis_crypto::jose::Claims;

/// The part of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<'a> {
    /// The host in the normal form of `portcullis_message::normalise_host`; empty where the request has
    /// none, and then only `*` takes it.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The method; rules compare it by its text, so custom ones are as good as `GET`.
    pub method: &'a Method,
    /// The path without the query.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// What its verified token says.
    pub claims: Option<&'a Claims>,
}

impl<'a> RouteQuery<'a> {
    /// The value of the first query parameter of a name, both as they are written: Envoy decodes neither. One
    /// without `=` has an empty value.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        let parameters = self.query.into_iter().flat_map(|query| query.split('&'));
        let mut named = parameters.map(|part| part.split_once('=').unwrap_or((part, "")));
        named.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}
