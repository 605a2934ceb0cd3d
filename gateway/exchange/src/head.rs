//! The heads of a request and its reply.

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::Protocol;

/// A request's head. The pseudo-headers are fields; `Host` never stands among the headers.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// `:method`
    pub method: Method,
    /// `:scheme`, what the client used, or what a trusted proxy says that it used.
    pub scheme: &'static str,
    /// `:authority`, as the client wrote it (or as a route or plugin rewrote it).
    pub authority: HeaderValue,
    /// `:path`, with the query.
    pub path: PathAndQuery,
    /// The protocol that the client speaks.
    pub protocol: Protocol,
    /// The other fields.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// The authority as text; empty where it is none.
    pub fn authority_str(&self) -> &str {
        self.authority.to_str().unwrap_or("")
    }

    /// Whether it is a gRPC call: `application/grpc`, alone or followed by `+proto` or parameters; not
    /// `application/grpc-web`.
    pub fn is_grpc(&self) -> bool {
        let Some(kind) = self.headers.get(CONTENT_TYPE) else { return false };
        let rest = kind.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    }
}

/// A reply's head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// `:status`
    pub status: StatusCode,
    /// The other fields.
    pub headers: HeaderMap,
    /// The trailers, once they have passed.
    pub trailers: Option<HeaderMap>,
}

impl ResponseHead {
    /// A head without trailers.
    pub fn new(status: StatusCode, headers: HeaderMap) -> Self {
        ResponseHead { status, headers, trailers: None }
    }

    /// `grpc-status`, from the trailers, or from the headers of a reply that has no body.
    pub fn grpc_status(&self) -> Option<&HeaderValue> {
        let from_trailers = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        from_trailers.or_else(|| self.headers.get("grpc-status"))
    }
}

/// `GET /` of no authority.
impl Default for RequestHead {
    fn default() -> Self {
        RequestHead {
            method: Method::GET,
            scheme: "http",
            authority: HeaderValue::from_static(""),
            path: PathAndQuery::from_static("/"),
            protocol: Protocol::Http11,
            headers: HeaderMap::new(),
        }
    }
}
