//! What the command line says about traffic listeners.

use std::collections::HashMap;
use std::net::IpAddr;

use portcullis_snapshot::SocketKey;

use crate::socket::BindTo;

/// Where to listen, and with how many workers.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Addresses of listeners that name none themselves; when empty `[::]`, IPv4 included, or `0.0.0.0`
    /// where IPv6 is off.
    pub bind: Vec<IpAddr>,
    /// The port to bind for a port of the resources; 0 picks a free one.
    pub port_map: HashMap<u16, u16>,
    /// Worker threads; at least one is started.
    pub workers: usize,
    /// Connections of all sockets at once; more are accepted and closed. `None`: no limit beside the sockets' own.
    pub max_connections: Option<usize>,
}

impl Settings {
    /// One worker on free ports of 127.0.0.1.
    pub fn for_test() -> Self {
        Settings {
            bind: vec![IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)],
            port_map: HashMap::from([(80, 0), (443, 0)]),
            workers: 1,
            max_connections: None,
        }
    }

    /// Where the socket of a resource is to be bound.
    pub(crate) fn bind_to(&self, key: SocketKey) -> Vec<BindTo> {
        let port = self.port_map.get(&key.port).copied().unwrap_or(key.port);
        match key.bind {
            Some(address) => vec![BindTo::among(address, port, &[])],
            None if self.bind.is_empty() => vec![BindTo::Everywhere(port)],
            None => self.bind.iter().map(|ip| BindTo::among(*ip, port, &self.bind)).collect(),
        }
    }
}
