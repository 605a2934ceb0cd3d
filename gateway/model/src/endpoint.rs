//! Endpoints: the addresses that serve a cluster, as written.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// One address that serves a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// Its share of the load relative to the others, 1 unless set; 0 takes none.
    pub weight: u32,
    /// Where it runs; `None` where that is not written.
    pub locality: Option<Arc<Locality>>,
    /// Its labels, which `failoverPriority` compares.
    pub labels: Arc<[(String, String)]>,
    /// Whether it takes new requests.
    pub readiness: Readiness,
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointAddress {
    /// An address.
    Socket(SocketAddr),
    /// A name that DNS knows, and a port.
    Name(Arc<str>, u16),
}

/// Where an endpoint runs: region, zone and sub-zone, each empty where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locality {
    /// As `eu-central-1`.
    pub region: Box<str>,
    /// As `eu-central-1a`.
    pub zone: Box<str>,
    /// A part of the zone.
    pub sub_zone: Box<str>,
}

/// Whether an endpoint takes new requests (EndpointSlice's conditions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    #[default]
    Ready,
    /// It is terminating and still serves: what is under way goes on, and it takes new requests only where no other
    /// endpoint is left.
    Draining,
    /// It serves nothing.
    NotReady,
}

impl Endpoint {
    /// An endpoint at an address, of weight 1.
    pub fn at(address: SocketAddr) -> Self {
        Endpoint {
            address: EndpointAddress::Socket(address),
            weight: 1,
            locality: None,
            labels: Arc::new([]),
            readiness: Readiness::Ready,
        }
    }
}

impl EndpointAddress {
    /// The address, where it is written as one.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            EndpointAddress::Socket(address) => Some(*address),
            EndpointAddress::Name(..) => None,
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointAddress::Socket(address) => address.fmt(f),
            EndpointAddress::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// `region/zone/sub-zone`, as Istio writes it.
impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        if !self.zone.is_empty() || !self.sub_zone.is_empty() {
            write!(f, "/{}", self.zone)?;
        }
        if !self.sub_zone.is_empty() {
            write!(f, "/{}", self.sub_zone)?;
        }
        Ok(())
    }
}
