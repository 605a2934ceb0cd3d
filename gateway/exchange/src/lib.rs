//! The record of one request: who asked what over which connection, which route, cluster and endpoint
//! it took, when, how it ended. Log operators, policy conditions and a plugin's `get_property` all read
//! this one [`Exchange`].
//!
//! What it is *not*: it decides nothing and does no I/O.

mod attribute_headers;
mod attribute_value;
mod attributes;
mod authenticated;
mod authenticated_attributes;
mod connection;
mod flags;
mod forwarded_client_cert;
mod head;
mod head_change;
mod timings;
mod tls_standing;

pub use attribute_value::AttributeValue;
pub use attributes::attribute;
pub use authenticated::Authenticated;
pub use connection::{Connection, Protocol, TlsFacts};
pub use flags::{ResponseFlag, ResponseFlags};
pub use forwarded_client_cert::forwarded_client_cert;
pub use head::{RequestHead, ResponseHead};
pub use head_change::HeadChange;
pub use timings::Timings;
pub use tls_standing::{TlsStanding, Verdict};

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use portcullis_crypto::CertificateFacts;
use portcullis_message::Upgrade;

/// One request and its reply, from the head's arrival to the log line.
///
/// It is `Send`, because a plugin instance borrows it during a callback and instances are handed
/// between threads while idle.
#[derive(Debug)]
pub struct Exchange {
    /// The downstream connection.
    pub connection: Arc<Connection>,
    /// The request as routes, plugins and the upstream see it.
    pub request: RequestHead,
    /// The path as the client sent it, where its canonical form or a rewrite differs.
    pub original_path: Option<Box<str>>,
    /// The client's address after trusted proxies; the peer's where none is trusted.
    pub client_address: SocketAddr,
    /// `x-request-id`.
    pub request_id: HeaderValue,
    /// How the client asked for a WebSocket, where it did. `upgrade` then stands among the request's fields.
    pub upgrade: Option<Upgrade>,
    /// The request's trailers, where plugins see them: from when they come to when they are sent on.
    pub request_trailers: Option<HeaderMap>,
    /// The reply's head once it is known.
    pub response: Option<ResponseHead>,
    /// The generation of the configuration that serves it.
    pub generation: u64,
    /// The listener's `Gateway`, as `ns/name`.
    pub gateway: Option<Arc<str>>,
    /// The chosen rule, as `VirtualService/ns/name/http[2]`.
    pub route: Option<Arc<str>>,
    /// The chosen cluster, as `outbound|80|v2|reviews.shop.svc.cluster.local`.
    pub cluster: Option<Arc<str>>,
    /// The server name that a client asked for on a connection whose TLS does not end here.
    pub passed_name: Option<Arc<str>>,
    /// The endpoint that it went to.
    pub upstream: Option<Upstream>,
    /// What the TLS handshake with it settled; `None` in plain text.
    pub upstream_tls: Option<Arc<UpstreamTlsFacts>>,
    /// How many times it was tried to get the upstream's reply; 0 where the gateway replied by itself.
    pub attempts: u32,
    /// When what happened.
    pub timings: Timings,
    /// Bytes of the request body.
    pub bytes_received: u64,
    /// Bytes of the reply body.
    pub bytes_sent: u64,
    /// Envoy-style response flags.
    pub flags: ResponseFlags,
    /// Envoy-style details of who made the reply, such as `via_upstream` or `route_not_found`; a plugin's
    /// own where it replied and gave some.
    pub code_details: Cow<'static, str>,
    /// Why a connection was cut off, as `%CONNECTION_TERMINATION_DETAILS%` writes it, empty where none was.
    pub termination_details: &'static str,
    /// Why the upstream connection failed, empty where it did not.
    pub transport_failure: String,
    /// Who its verified token says that it is.
    pub authenticated: Option<Arc<Authenticated>>,
    /// What plugins left with `set_property`, by name (`wasm.<name>` to log operators).
    pub state: Vec<(Box<str>, Bytes)>,
    /// What of the request's head was changed since the route was chosen, which may then be another.
    pub head_change: HeadChange,
}

/// The endpoint that served a request.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its address.
    pub address: SocketAddr,
    /// Our own address on that connection.
    pub local_address: Option<SocketAddr>,
}

/// What a handshake with an endpoint settled.
#[derive(Debug)]
pub struct UpstreamTlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// What the endpoint's certificate says; `None` where it says it in a way that nobody should repeat.
    pub peer: Option<CertificateFacts>,
}

impl Exchange {
    /// So much of the request's head is another than when its route was chosen.
    pub fn change_head(&mut self, change: HeadChange) {
        self.head_change = self.head_change.max(change);
    }

    /// Whether anything of it is.
    pub fn is_head_changed(&self) -> bool {
        self.head_change != HeadChange::Nothing
    }

    /// The record of a request that has just come in.
    pub fn new(connection: Arc<Connection>, request: RequestHead) -> Self {
        Exchange {
            client_address: connection.peer,
            connection,
            request,
            original_path: None,
            request_id: HeaderValue::from_static(""),
            upgrade: None,
            request_trailers: None,
            response: None,
            generation: 0,
            gateway: None,
            route: None,
            cluster: None,
            passed_name: None,
            upstream: None,
            upstream_tls: None,
            attempts: 0,
            timings: Timings::start(),
            bytes_received: 0,
            bytes_sent: 0,
            flags: ResponseFlags::default(),
            code_details: Cow::Borrowed(""),
            termination_details: "",
            transport_failure: String::new(),
            authenticated: None,
            state: Vec::new(),
            head_change: HeadChange::Nothing,
        }
    }

    /// The record of a connection whose bytes are passed on, from its acceptance on. It has no request.
    pub fn of_connection(connection: Arc<Connection>) -> Self {
        let request = RequestHead { protocol: Protocol::Tcp, ..RequestHead::default() };
        Exchange::new(connection, request)
    }

    /// A second record of the same request as far as it has come, for who works on the request's body while
    /// another works on its reply.
    pub fn fork(&self) -> Self {
        Exchange {
            original_path: self.original_path.clone(),
            client_address: self.client_address,
            request_id: self.request_id.clone(),
            upgrade: self.upgrade,
            request_trailers: self.request_trailers.clone(),
            generation: self.generation,
            gateway: self.gateway.clone(),
            route: self.route.clone(),
            cluster: self.cluster.clone(),
            passed_name: self.passed_name.clone(),
            upstream: self.upstream.clone(),
            timings: self.timings,
            bytes_received: self.bytes_received,
            flags: self.flags,
            state: self.state.clone(),
            ..Exchange::new(self.connection.clone(), self.request.clone())
        }
    }

    /// An exchange for tests: `GET /` from nowhere.
    pub fn for_test() -> Self {
        Exchange::new(Arc::new(Connection::nowhere()), RequestHead::default())
    }

    /// The state that plugins left under a name.
    pub fn state(&self, name: &str) -> Option<&Bytes> {
        self.state.iter().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    /// Leaves a value under a name, replacing an earlier one.
    pub fn set_state(&mut self, name: &str, value: Bytes) {
        match self.state.iter_mut().find(|(key, _)| **key == *name) {
            Some((_, old)) => *old = value,
            None => self.state.push((name.into(), value)),
        }
    }
}
