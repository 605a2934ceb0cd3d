//! A service that requests can be sent to, with its ports and endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{
    Discovery, Endpoint, HealthCheck, LocalityBalancing, ObjectId, Origin, UpstreamProtocol,
};

use crate::kinds::PortSecurity;

/// The services by host.
pub(super) type ByHost = BTreeMap<Arc<str>, KnownService>;

/// A Service, or one host of ServiceEntries.
pub(crate) struct KnownService {
    /// The host.
    pub(crate) host: Arc<str>,
    /// The object that it was first written in.
    pub(crate) object: ObjectId,
    pub(crate) origin: Origin,
    /// The service's own name.
    pub(crate) name: Arc<str>,
    pub(crate) ports: Vec<KnownPort>,
    /// Whether its endpoints have labels that subsets can select.
    pub(crate) labels: EndpointLabels,
}

/// Whether endpoints have labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointLabels {
    /// They are written (ServiceEntry).
    Written,
    /// They are not known (EndpointSlice).
    Unknown,
}

/// A port of a service.
pub(crate) struct KnownPort {
    pub(crate) number: u16,
    /// Empty where it has none.
    pub(crate) name: Box<str>,
    /// What is spoken behind it.
    pub(crate) protocol: UpstreamProtocol,
    /// Whether it asks for TLS by itself.
    pub(crate) security: PortSecurity,
    /// How its endpoints are found.
    pub(crate) discovery: Discovery,
    pub(crate) endpoints: Vec<Endpoint>,
    /// `subjectAltNames`: who an endpoint may prove to be where no DestinationRule says so.
    pub(crate) names: Arc<[Box<str>]>,
    /// How endpoints are asked whether they are well, where no DestinationRule says so.
    pub(crate) health_check: Option<HealthCheck>,
    /// Which localities come first, where no DestinationRule says so.
    pub(crate) locality: Option<LocalityBalancing>,
}

/// Where the name of a Kubernetes Service ends.
pub(super) const CLUSTER_DOMAIN: &str = "svc.cluster.local";
