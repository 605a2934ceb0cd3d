//! One test of an authorization policy: an attribute of a request, and the values that it may have or not.

use std::net::IpAddr;

use http::header::HeaderName;
use ipnet::IpNet;
use portcullis_exchange::Exchange;
use portcullis_message::normalise_host;

use crate::access_identity::identities;
use crate::access_value::{PathTest, TextTest};

/// A test: whether an attribute has one of some values, or none of them.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessTest {
    /// The attribute, with its values.
    pub subject: AccessSubject,
    /// Whether it has to have one.
    pub sense: AccessSense,
}

/// Whether something is to be so or not. What an attribute that is missing has is none of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessSense {
    /// `values` and its like.
    OneOf,
    /// `notValues` and its like.
    NoneOf,
}

/// An attribute, with values any of which it may have.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessSubject {
    /// The SPIFFE identity of the client's verified certificate, without `spiffe://`.
    Principal(Vec<TextTest>),
    /// The namespace in that identity.
    Namespace(Vec<TextTest>),
    /// Namespace and service account in that identity.
    ServiceAccount(Vec<(Box<str>, Box<str>)>),
    /// `iss/sub` of a verified token.
    RequestPrincipal(Vec<TextTest>),
    /// What a verified token says, by the way to it.
    Claim(Vec<Box<str>>, Vec<TextTest>),
    /// The address that the connection comes from.
    PeerAddress(Vec<IpNet>),
    /// The client's address behind trusted proxies.
    ClientAddress(Vec<IpNet>),
    /// The address that the connection came to.
    OwnAddress(Vec<IpNet>),
    /// The port of the listener, as its resource names it.
    Port(Vec<u16>),
    /// The server name that the client asked for in its handshake.
    ServerName(Vec<TextTest>),
    /// The authority of the request, in any case, with its port or without.
    Host(Vec<TextTest>),
    /// The method.
    Method(Vec<TextTest>),
    /// The canonical path, without query.
    Path(Vec<PathTest>),
    /// A header field; one of its values, never their join.
    Header(HeaderName, Vec<TextTest>),
    /// What nobody here knows (`experimental.*`).
    Unknown,
}

impl AccessTest {
    /// Whether it holds.
    pub fn holds(&self, exchange: &Exchange) -> bool {
        self.subject.is_one_of(exchange) == (self.sense == AccessSense::OneOf)
    }

    /// Whether it asks what nobody knows.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.subject, AccessSubject::Unknown)
    }

    /// Whether it asks what a verified token says.
    pub(crate) fn is_of_token(&self) -> bool {
        matches!(self.subject, AccessSubject::RequestPrincipal(_) | AccessSubject::Claim(..))
    }

    /// Whether it asks what only requests have.
    pub fn is_of_requests(&self) -> bool {
        self.is_of_token()
            || matches!(
                self.subject,
                AccessSubject::Host(_)
                    | AccessSubject::Method(_)
                    | AccessSubject::Path(_)
                    | AccessSubject::Header(..)
            )
    }
}

impl AccessSubject {
    fn is_one_of(&self, exchange: &Exchange) -> bool {
        let connection = &exchange.connection;
        match self {
            AccessSubject::Principal(values) => is_principal(exchange, values),
            AccessSubject::Namespace(values) => identities(connection)
                .filter_map(|identity| identity.namespace())
                .any(|namespace| fits(values, namespace)),
            AccessSubject::ServiceAccount(values) => identities(connection)
                .filter_map(|identity| identity.service_account())
                .any(|(ns, name)| values.iter().any(|(a, b)| **a == *ns && **b == *name)),
            AccessSubject::RequestPrincipal(values) => {
                let token = exchange.authenticated.as_deref();
                let principal = token.and_then(|token| token.principal.as_deref());
                principal.is_some_and(|principal| fits(values, principal))
            }
            AccessSubject::Claim(path, values) => {
                let token = exchange.authenticated.as_deref();
                token.is_some_and(|token| token.claims.fulfil(path, |text| fits(values, text)))
            }
            AccessSubject::PeerAddress(values) => within(values, connection.peer.ip()),
            AccessSubject::ClientAddress(values) => within(values, exchange.client_address.ip()),
            AccessSubject::OwnAddress(values) => within(values, connection.local.ip()),
            AccessSubject::Port(values) => values.contains(&connection.port),
            AccessSubject::ServerName(values) => server_name(exchange)
                .is_some_and(|name| values.iter().any(|value| value.matches_any_case(name))),
            AccessSubject::Host(values) => is_host(exchange.request.authority_str(), values),
            AccessSubject::Method(values) => fits(values, exchange.request.method.as_str()),
            AccessSubject::Path(values) => {
                let path = exchange.request.path.path();
                values.iter().any(|value| value.matches(path))
            }
            AccessSubject::Header(name, values) => {
                let fields = exchange.request.headers.get_all(name);
                fields.iter().any(|field| values.iter().any(|value| value.fits_field(field)))
            }
            AccessSubject::Unknown => false,
        }
    }

    /// As `when` calls it; what only a source or operation can name is called as there.
    pub fn name(&self) -> &'static str {
        match self {
            AccessSubject::Principal(_) => "source.principal",
            AccessSubject::Namespace(_) => "source.namespace",
            AccessSubject::ServiceAccount(_) => "source.serviceAccount",
            AccessSubject::RequestPrincipal(_) => "request.auth.principal",
            AccessSubject::Claim(..) => "request.auth.claims",
            AccessSubject::PeerAddress(_) => "source.ip",
            AccessSubject::ClientAddress(_) => "remote.ip",
            AccessSubject::OwnAddress(_) => "destination.ip",
            AccessSubject::Port(_) => "destination.port",
            AccessSubject::ServerName(_) => "connection.sni",
            AccessSubject::Host(_) => "hosts",
            AccessSubject::Method(_) => "methods",
            AccessSubject::Path(_) => "paths",
            AccessSubject::Header(..) => "request.headers",
            AccessSubject::Unknown => "experimental",
        }
    }
}

/// `*` asks for a verified certificate, whatever it says.
fn is_principal(exchange: &Exchange, values: &[TextTest]) -> bool {
    let connection = &exchange.connection;
    if connection.peer_certificate().is_some() && values.contains(&TextTest::Present) {
        return true;
    }
    identities(connection).any(|identity| fits(values, identity.as_str()))
}

fn fits(values: &[TextTest], text: &str) -> bool {
    values.iter().any(|value| value.matches(text))
}

/// What a socket for both families sees as `::ffff:192.0.2.1` is of IPv4.
fn within(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

fn server_name(exchange: &Exchange) -> Option<&str> {
    let tls = exchange.connection.tls.as_ref();
    let name = tls.and_then(|tls| tls.server_name.as_deref());
    name.or(exchange.passed_name.as_deref())
}

/// The port means nothing for routes, so that `admin.example:1` gets nowhere that `admin.example` does not.
fn is_host(authority: &str, values: &[TextTest]) -> bool {
    let host = normalise_host(authority);
    values.iter().any(|value| value.matches_any_case(&host) || value.matches_any_case(authority))
}
