//! Listeners: one server of one Gateway each.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_crypto::{ClientVerification, Credential, TlsParameters};
use portcullis_filters::Authorization;
use portcullis_message::HostPattern;
use portcullis_telemetry::LogRule;

use crate::{
    Authentication, ByHost, ConnectionPolicy, ObjectId, OfHost, Origin, RequestPolicy, Rule,
    RuleFilters, TcpRoute,
};

/// One server of a `Gateway`. Listeners with the same port and bind address share a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Where the server is written.
    pub origin: Origin,
    /// The Gateway as `ns/name`.
    pub gateway: Arc<str>,
    /// The server's name, or its port's.
    pub server: Arc<str>,
    /// `port.number` of the resource; `--port-map` may bind another.
    pub port: u16,
    /// `bind`; `None` for the addresses of `--bind`.
    pub bind: Option<IpAddr>,
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
    /// The hosts that it takes.
    pub hosts: Vec<HostPattern>,
    /// `tls.httpsRedirect`: answer 301 to the same URL on https.
    pub https_redirect: bool,
    /// TLS termination; `None` on a plain listener.
    pub tls: Option<TlsSettings>,
    /// What is asked of its connections; the same for all listeners of a socket.
    pub connections: Arc<ConnectionPolicy>,
    /// What is asked of its requests.
    pub requests: RequestPolicy,
    /// The routes bound to it, by host: what the Gateway's and the routes' hosts have in common.
    pub virtual_hosts: ByHost<VirtualHost>,
    /// Where its connections go, in the order in which that is decided; empty unless it passes bytes on.
    pub tcp_routes: Vec<TcpRoute>,
    /// The plugins that run on its requests, in running order.
    pub plugins: Vec<ObjectId>,
    /// The rate limit and error bodies of its requests whose rule has none of its own; nothing else.
    pub filters: Option<Box<RuleFilters>>,
    /// Who its requests say that they are, and whether that is true; `None` where nothing asks.
    pub authentication: Option<Arc<Authentication>>,
    /// Which requests or connections may pass; `None` where all may. Listeners that ask the same share it.
    pub authorization: Option<Arc<Authorization>>,
    /// Which of its requests or connections are logged; `None` where all are.
    pub access_log: Option<Arc<LogRule>>,
}

impl Listener {
    /// A plain server of port 80 that takes every host and has no routes.
    pub fn for_test() -> Self {
        Listener {
            origin: Origin::for_test(),
            gateway: "default/gateway".into(),
            server: "http".into(),
            port: 80,
            bind: None,
            protocol: ListenerProtocol::Http,
            hosts: vec![HostPattern::Any],
            https_redirect: false,
            tls: None,
            connections: Arc::default(),
            requests: RequestPolicy::default(),
            virtual_hosts: ByHost::default(),
            tcp_routes: Vec::new(),
            plugins: Vec::new(),
            filters: None,
            authentication: None,
            authorization: None,
            access_log: None,
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    /// HTTP/1 and, by prior knowledge, HTTP/2.
    Http,
    /// The same over TLS that ends here.
    Https,
    /// TLS that is passed on as it comes, by the server name in its first message; with [`Listener::tls`] it
    /// ends here and the bytes in it are passed on.
    Tls,
    /// Bytes that are passed on.
    Tcp,
}

impl ListenerProtocol {
    /// As the ready file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ListenerProtocol::Http => "HTTP",
            ListenerProtocol::Https => "HTTPS",
            ListenerProtocol::Tls => "TLS",
            ListenerProtocol::Tcp => "TCP",
        }
    }

    /// Whether its connections begin with TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, ListenerProtocol::Https | ListenerProtocol::Tls)
    }

    /// Whether HTTP is spoken on it, so that rules of requests apply.
    pub fn is_http(self) -> bool {
        matches!(self, ListenerProtocol::Http | ListenerProtocol::Https)
    }
}

/// How TLS ends at a listener. Listeners of one socket whose settings are equal share their connections.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsSettings {
    /// Certificates with their keys, the preferred one first; a client gets the first that it understands. Empty
    /// where the Secret is missing or broken and never was good: handshakes for this listener's hosts are
    /// refused, everything else is served.
    pub credentials: Vec<Credential>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Versions and cipher suites.
    pub parameters: TlsParameters,
    /// Whose connections alone these are. A listener of Gateway API shares its connections with no other, so that a request
    /// for another one's host is told so (421); those that share have none.
    pub apart: Option<Arc<str>>,
}

/// What a listener asks of its clients' certificates.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientAuth {
    /// Nothing (`SIMPLE`).
    NotAsked,
    /// They are verified (`MUTUAL`, `OPTIONAL_MUTUAL`, `ISTIO_MUTUAL`).
    Verified(Arc<ClientVerification>),
    /// They should be, but there is nothing to verify them by: handshakes are refused.
    Unverifiable,
}

/// The rules for one host on one listener, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualHost {
    /// The host or hosts.
    pub host: HostPattern,
    /// The rules; shared among the listeners and hosts that have the same.
    pub rules: Vec<Arc<Rule>>,
}

impl OfHost for VirtualHost {
    fn host(&self) -> &HostPattern {
        &self.host
    }
}
