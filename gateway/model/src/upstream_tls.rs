//! What protects the way to an endpoint (DestinationRule's `tls`), and what is spoken on it.

use std::sync::Arc;

use portcullis_crypto::{Credential, ServerVerification};

/// How a cluster's connections are protected.
#[derive(Clone, Debug, PartialEq)]
pub enum UpstreamTls {
    /// Not at all (`DISABLE`, or nothing written).
    Plain,
    /// TLS.
    Client(Arc<ClientTls>),
    /// TLS is asked for and cannot be had, for this reason: requests are answered with 503, and nothing is ever sent in
    /// plain text.
    Broken(Arc<str>),
}

/// TLS to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTls {
    /// Who is trusted, and what a certificate must say.
    pub verification: ServerVerification,
    /// Our own certificate (`MUTUAL`, `ISTIO_MUTUAL`).
    pub credential: Option<Credential>,
    /// What is asked for by name.
    pub server_name: UpstreamServerName,
    /// Whether the peer is an Istio sidecar, which is told so by ALPN (`istio`, `istio-http/1.1`).
    pub mesh: Mesh,
}

/// The server name that is asked for (SNI).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamServerName {
    /// This one.
    Fixed(Arc<str>),
    /// The request's own authority (`SIMPLE` and `MUTUAL` without `sni`); the service's host where there is no request.
    Authority,
}

/// Whether the peer is an Istio sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mesh {
    /// It is (`ISTIO_MUTUAL`).
    Sidecar,
    /// It need not be.
    Outside,
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, in plain text by prior knowledge (the port says `http2` or `grpc`, or `h2UpgradePolicy: UPGRADE`).
    Http2,
    /// What the client speaks (`useClientProtocol`).
    Client,
    /// Bytes that are passed on; a request that is routed there goes as HTTP/1.1.
    Tcp,
}

/// The PROXY protocol header that connections to an endpoint begin with (`proxyProtocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProxyHeader {
    /// The line in text.
    V1,
    /// The binary one.
    V2,
}
