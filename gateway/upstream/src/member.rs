//! An endpoint's place in its cluster: what was found, and what is written of it.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model as model;
use portcullis_model::EndpointAddress;
use rustc_hash::FxHashMap;

use crate::endpoint::Endpoint;

/// An endpoint whose address is known, as it is handed to [`Cluster::set_endpoints`](crate::Cluster::set_endpoints).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// What is written of it; its address as written, which may be a name.
    pub written: model::Endpoint,
    /// Where it is.
    pub place: ResolvedPlace,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedPlace {
    /// At one address (`STATIC`, and each address of a name under `DNS`).
    At(SocketAddr),
    /// Wherever its name leads, the preferred address first (`DNS_ROUND_ROBIN`): one endpoint whose open
    /// connections stay when the addresses change. Without an address it is left out.
    OneOf(Vec<SocketAddr>),
}

/// An endpoint's place in its cluster.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Where it was found, with its weight, locality and labels.
    pub resolved: ResolvedEndpoint,
}

impl Member {
    /// Whether it is to take load, as is written.
    pub(crate) fn serves(&self) -> bool {
        let written = &self.resolved.written;
        written.weight > 0 && written.readiness == model::Readiness::Ready
    }
}

/// Makes members of what was found; endpoints that are among `earlier` are carried over. An address written twice
/// is one endpoint with the sum of the weights.
pub(crate) fn members(found: Vec<ResolvedEndpoint>, earlier: &[Member]) -> Vec<Member> {
    let mut known: FxHashMap<EndpointAddress, Arc<Endpoint>> =
        earlier.iter().map(|member| (member.endpoint.key(), member.endpoint.clone())).collect();
    found.into_iter().filter_map(|resolved| member(resolved, &mut known)).collect()
}

fn member(
    resolved: ResolvedEndpoint,
    known: &mut FxHashMap<EndpointAddress, Arc<Endpoint>>,
) -> Option<Member> {
    let endpoint = match &resolved.place {
        ResolvedPlace::At(address) => known
            .entry(EndpointAddress::Socket(*address))
            .or_insert_with(|| Endpoint::new(*address))
            .clone(),
        ResolvedPlace::OneOf(addresses) if addresses.is_empty() => return None,
        ResolvedPlace::OneOf(addresses) => {
            let name = &resolved.written.address;
            let endpoint = known
                .entry(name.clone())
                .or_insert_with(|| Endpoint::named(name.clone(), addresses.clone()));
            endpoint.move_to(addresses.clone());
            endpoint.clone()
        }
    };
    Some(Member { endpoint, resolved })
}

/// What a cluster's settings alone say, and what is already known of the names among them.
pub(crate) fn known_at_first(
    settings: &model::Cluster,
    earlier: &[Member],
) -> Vec<ResolvedEndpoint> {
    let mut found = Vec::new();
    for written in &settings.endpoints {
        match written.address.socket() {
            Some(address) => found.push(ResolvedEndpoint {
                written: written.clone(),
                place: ResolvedPlace::At(address),
            }),
            None => found.extend(resolved_before(written, earlier)),
        }
    }
    found
}

fn resolved_before<'a>(
    written: &'a model::Endpoint,
    earlier: &'a [Member],
) -> impl Iterator<Item = ResolvedEndpoint> + 'a {
    let same = |member: &&Member| member.resolved.written.address == written.address;
    earlier.iter().filter(same).map(|member| ResolvedEndpoint {
        written: written.clone(),
        place: member.resolved.place.clone(),
    })
}
