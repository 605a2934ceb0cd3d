//! What of a request decides its route.

use http::{HeaderMap, Method};

/// The part of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<'a> {
    /// The host in the normal form of `portcullis_message::normalise_host`; empty where the request has
    /// none, and then only `*` takes it.
    pub host: &'a str,
    /// The method; rules compare it by its text, so custom ones are as good as `GET`.
    pub method: &'a Method,
    /// The path without the query.
    pub path: &'a str,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
}
