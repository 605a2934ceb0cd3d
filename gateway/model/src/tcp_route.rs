//! Rules for connections whose bytes are passed on: an entry of a VirtualService's `tls` or `tcp`.

use std::sync::Arc;

use portcullis_message::HostPattern;

use crate::{ClusterName, Origin};

/// A rule as one listener has it: what the rule says of other ports and Gateways is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRoute {
    /// The server names (SNI) that it takes on a listener that passes TLS on; on other listeners none, and it
    /// takes every connection.
    pub server_names: Vec<HostPattern>,
    /// What happens.
    pub rule: Arc<TcpRule>,
}

/// Where the bytes of a connection go.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRule {
    /// As the access log shows it: `VirtualService/ns/name/tls[0]`.
    pub id: Arc<str>,
    /// Where it is written.
    pub origin: Origin,
    /// One of these, drawn by weight for each connection; never empty.
    pub destinations: Vec<TcpDestination>,
}

/// One weighted destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpDestination {
    /// The cluster; it may be missing from the model, which closes its share of the connections.
    pub cluster: ClusterName,
    /// Its part of the sum of the weights.
    pub weight: u32,
}
