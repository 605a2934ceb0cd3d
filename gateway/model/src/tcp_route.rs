//! Rules for connections whose bytes are passed on: an entry of a VirtualService's `tls` or `tcp`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_message::HostPattern;

use crate::{ClusterName, Origin};

/// A rule as one listener has it: what the rule says of other ports and Gateways is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRoute {
    /// The server names (SNI) that it takes on a listener that passes TLS on, or at which it ends for bytes; none, as
    /// on other listeners, and it takes every connection.
    pub server_names: Vec<HostPattern>,
    /// The connections that it takes alone; `None` for all.
    pub addresses: Option<Arc<TcpAddresses>>,
    /// What happens.
    pub rule: Arc<TcpRule>,
}

/// Conditions on the addresses of a connection (`destinationSubnets`, `sourceSubnet`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpAddresses {
    /// The address that it came to is in any of these; none is every one.
    pub local: Vec<IpNet>,
    /// The address that it came from is in any of these; none is every one.
    pub remote: Vec<IpNet>,
}

impl TcpAddresses {
    /// Whether a connection from `remote` to `local` fulfils them. IPv4 addresses in IPv6 form are IPv4.
    pub fn match_connection(&self, local: IpAddr, remote: IpAddr) -> bool {
        let holds = |wanted: &[IpNet], actual: IpAddr| {
            wanted.is_empty() || wanted.iter().any(|net| net.contains(&actual.to_canonical()))
        };
        holds(&self.local, local) && holds(&self.remote, remote)
    }
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
