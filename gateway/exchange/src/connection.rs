//! The downstream connection that a request came on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use portcullis_crypto::CertificateFacts;
use portcullis_message::Trust;

use crate::TlsStanding;

/// What is true of a downstream connection for as long as it lives.
#[derive(Debug)]
pub struct Connection {
    /// A number unique in this process.
    pub id: u64,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The peer's IP address as a header value, made once for `X-Forwarded-For`.
    pub peer_value: HeaderValue,
    /// Our own address.
    pub local: SocketAddr,
    /// The port of the resources that this listener serves, which `--port-map` may bind elsewhere.
    pub port: u16,
    /// `bind` of the resources; with `port` it names the socket in the configuration.
    pub bind: Option<IpAddr>,
    /// Whether the peer's `X-Forwarded-*` is believed.
    pub trust: Trust,
    /// TLS facts; `None` on a plain connection.
    pub tls: Option<TlsFacts>,
}

/// What the TLS handshake settled.
#[derive(Debug)]
pub struct TlsFacts {
    /// The name that the client asked for (SNI), in lower case.
    pub server_name: Option<Arc<str>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name.
    pub cipher_suite: &'static str,
    /// What our own certificate says, shared by all connections that have it.
    pub local: Option<Arc<CertificateFacts>>,
    /// What the client's certificate says, where it was asked for one and has it; it was verified.
    pub peer: Option<Box<CertificateFacts>>,
    /// `X-Forwarded-Client-Cert` for such a client.
    pub forwarded_client_cert: Option<HeaderValue>,
    /// Whether the handshake still is what the configuration asks for.
    pub standing: TlsStanding,
}

impl Connection {
    /// `https` on TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What upstreams are told of the client's verified certificate.
    pub fn forwarded_client_cert(&self) -> Option<&HeaderValue> {
        self.tls.as_ref()?.forwarded_client_cert.as_ref()
    }

    /// What the client's verified certificate says.
    pub fn peer_certificate(&self) -> Option<&CertificateFacts> {
        self.tls.as_ref()?.peer.as_deref()
    }

    /// What our own certificate says.
    pub fn local_certificate(&self) -> Option<&CertificateFacts> {
        self.tls.as_ref()?.local.as_deref()
    }
}

impl Connection {
    /// A connection from nowhere: for tests, and where no request is at hand.
    pub fn nowhere() -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Connection {
            id: 0,
            peer: nowhere,
            peer_value: HeaderValue::from_static("0.0.0.0"),
            local: nowhere,
            port: 0,
            bind: None,
            trust: Trust::Untrusted,
            tls: None,
        }
    }
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
    /// None: bytes are passed on.
    Tcp,
}

impl Protocol {
    /// As Envoy's `%PROTOCOL%` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Tcp => "-",
        }
    }
}

impl From<http::Version> for Protocol {
    fn from(version: http::Version) -> Self {
        match version {
            http::Version::HTTP_2 => Protocol::Http2,
            http::Version::HTTP_10 | http::Version::HTTP_09 => Protocol::Http10,
            _ => Protocol::Http11,
        }
    }
}
