//! A cluster's endpoints, from what is written and what its names lead to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_model::{Cluster, Discovery, Endpoint, EndpointAddress};
use portcullis_upstream::{ResolvedEndpoint, ResolvedPlace};

use crate::answer::Answer;
use crate::guard::may_reach;

/// Addresses of one endpoint that is a name; a connection tries one after the other.
const MOST_OF_ONE: usize = 16;

/// The endpoints as they are known now. A name of which nothing is known yet has none. Where clients choose the name
/// (`DYNAMIC_DNS`), addresses that are not the internet's have to be `allowed`.
pub(crate) fn resolve(
    settings: &Cluster,
    allowed: &[IpNet],
    known: impl Fn(&str) -> Option<Arc<Answer>>,
) -> Vec<ResolvedEndpoint> {
    let mut resolved = Vec::new();
    for written in &settings.endpoints {
        match &written.address {
            EndpointAddress::Socket(address) => {
                resolved.push(at(written, ResolvedPlace::At(*address)));
            }
            EndpointAddress::Name(name, port) => {
                let Some(answer) = known(name) else { continue };
                resolved.extend(
                    places(settings.discovery, allowed, &answer, *port).map(|p| at(written, p)),
                );
            }
        }
    }
    resolved
}

/// The names among a cluster's endpoints.
pub(crate) fn names_of(settings: &Cluster) -> impl Iterator<Item = &Arc<str>> + Clone {
    settings.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
        EndpointAddress::Name(name, _) => Some(name),
        EndpointAddress::Socket(_) => None,
    })
}

fn places(
    discovery: Discovery,
    allowed: &[IpNet],
    answer: &Answer,
    port: u16,
) -> impl Iterator<Item = ResolvedPlace> + use<> {
    let of = |addresses: Vec<IpAddr>| {
        addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect::<Vec<_>>()
    };
    let places: Vec<ResolvedPlace> = match discovery {
        Discovery::DnsRoundRobin | Discovery::DynamicDns => {
            let mut addresses = answer.addresses.clone();
            if discovery == Discovery::DynamicDns {
                addresses.retain(|address| may_reach(*address, allowed));
            }
            addresses.truncate(MOST_OF_ONE);
            vec![ResolvedPlace::OneOf(of(addresses))]
        }
        _ => of(answer.sorted()).into_iter().map(ResolvedPlace::At).collect(),
    };
    places.into_iter()
}

fn at(written: &Endpoint, place: ResolvedPlace) -> ResolvedEndpoint {
    ResolvedEndpoint { written: written.clone(), place }
}
