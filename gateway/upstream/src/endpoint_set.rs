//! The endpoints of a cluster at one moment: immutable, replaced as a whole.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model as model;
use portcullis_model::EndpointAddress;
use rustc_hash::FxHashMap;

use crate::balance::Weights;
use crate::endpoint::{Endpoint, EndpointId};

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

/// The endpoints of a cluster at one moment, with what balancing needs to know of them.
#[derive(Debug)]
pub struct EndpointSet {
    members: Vec<Member>,
    weights: Weights,
}

/// An endpoint's place in a set.
#[derive(Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Where it was found, with its weight, locality and labels.
    pub resolved: ResolvedEndpoint,
}

impl EndpointSet {
    /// Builds a set; endpoints that `earlier` has are carried over.
    pub(crate) fn build(resolved: Vec<ResolvedEndpoint>, earlier: Option<&EndpointSet>) -> Self {
        let mut known: FxHashMap<EndpointAddress, Arc<Endpoint>> = earlier
            .iter()
            .flat_map(|set| &set.members)
            .map(|member| (member.endpoint.key(), member.endpoint.clone()))
            .collect();
        let members: Vec<Member> =
            resolved.into_iter().filter_map(|resolved| member(resolved, &mut known)).collect();
        let weights = Weights::new(members.iter().map(|member| member.resolved.written.weight));
        EndpointSet { members, weights }
    }

    /// The members, in the order written.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn pick_with(
        &self,
        tried: &[EndpointId],
        draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let active =
            |nth: usize| self.members.get(nth).map_or(0, |member| member.endpoint.active());
        let nth = if tried.is_empty() {
            self.weights.pick(active, draw)
        } else {
            let untried = |nth: usize| {
                self.members.get(nth).is_some_and(|member| !tried.contains(&member.endpoint.id))
            };
            self.weights.pick_among(untried, active, draw)
        };
        self.members.get(nth?).map(|member| &member.endpoint)
    }

    /// Tells the endpoints that are not in `newer` that they have left.
    pub(crate) fn retire(&self, newer: Option<&EndpointSet>) {
        let kept: rustc_hash::FxHashSet<EndpointId> =
            newer.iter().flat_map(|set| &set.members).map(|member| member.endpoint.id).collect();
        for member in self.members.iter().filter(|member| !kept.contains(&member.endpoint.id)) {
            member.endpoint.remove();
        }
    }
}

/// An address written twice is one endpoint with the sum of the weights.
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
    earlier: Option<&EndpointSet>,
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
    earlier: Option<&'a EndpointSet>,
) -> impl Iterator<Item = ResolvedEndpoint> + 'a {
    let members = earlier.into_iter().flat_map(|set| &set.members);
    members.filter(|member| member.resolved.written.address == written.address).map(|member| {
        ResolvedEndpoint { written: written.clone(), place: member.resolved.place.clone() }
    })
}
