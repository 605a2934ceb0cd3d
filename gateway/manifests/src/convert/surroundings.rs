//! What making and binding the rules of a VirtualService looks at beside itself. Where it is as it was, what came of a
//! VirtualService that is the same in memory is taken over.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_model::{ClusterName, ObjectId};

use super::as_istio::Joints;
use super::open::OpenGateway;
use super::routes::Lookup;
use crate::kinds::{EdgePolicy, WasmPlugin};

/// All of it but the delegates. It is kept, so that nothing else comes to stand where something of it stood.
#[derive(Debug, PartialEq)]
pub(crate) struct Surroundings {
    pub(crate) services: Services,
    pub(crate) gateways: Gateways,
    pub(crate) edge_policies: Same<EdgePolicy>,
    pub(crate) plugins: Same<WasmPlugin>,
    /// Which of them run on rules.
    pub(crate) running: HashSet<ObjectId>,
    /// What is written but could not be used.
    pub(crate) broken: HashSet<ObjectId>,
    /// Of the gateway.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) joints: Joints,
}

/// What a destination can see of services and clusters: their names, and whether anybody answers there. So endpoints
/// come and go without a rule being made anew.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Services {
    hosts: Vec<(Arc<str>, Box<[u16]>)>,
    clusters: Vec<(ClusterName, bool)>,
}

impl Services {
    /// As they are looked up.
    pub(crate) fn of(lookup: Lookup<'_>) -> Self {
        let ports = |service: &super::known_service::KnownService| {
            service.ports.iter().map(|port| port.number).collect()
        };
        let hosts = lookup.services.iter().map(|service| (service.host.clone(), ports(service)));
        let clusters = lookup.clusters.iter();
        let clusters = clusters.map(|(name, cluster)| (name.clone(), cluster.can_have_endpoints()));
        Services { hosts: hosts.collect(), clusters: clusters.collect() }
    }
}

/// The Gateways that listen; those of other languages than Istio's only by their places, as VirtualServices cannot name
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Gateways(pub(crate) Arc<Vec<OpenGateway>>);

impl PartialEq for Gateways {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&OpenGateway, &OpenGateway)| {
            let of_istio = [one, other].map(|open| open.gateway.is_of_istio());
            let is_one = Arc::ptr_eq(&one.gateway, &other.gateway) && one.servers == other.servers;
            is_one || of_istio == [false, false]
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(is_same)
    }
}

/// Objects that are equal where they are the same in memory.
#[derive(Clone, Debug)]
pub(crate) struct Same<T>(pub(crate) Vec<Arc<T>>);

impl<T> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&Arc<T>, &Arc<T>)| Arc::ptr_eq(one, other);
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(is_same)
    }
}
