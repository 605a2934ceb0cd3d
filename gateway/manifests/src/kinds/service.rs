//! Kubernetes' `Service`.

use crate::draft::RawObject;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::port;
use crate::yaml::Value;

/// A Service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) ports: Vec<ServicePort>,
}

/// One TCP port of a Service.
#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    pub(crate) number: u16,
    /// Empty where it has none.
    pub(crate) name: Box<str>,
    /// A numeric `targetPort`; a named one is resolved in the EndpointSlices, which go by the port's name.
    pub(crate) target: Option<u16>,
}

static SPEC: Schema = Schema {
    what: "a Service",
    served: &["ports", "type"],
    not_yet: &[],
    skipped: &[
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalName",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "publishNotReadyAddresses",
        "selector",
        "sessionAffinity",
        "sessionAffinityConfig",
        "trafficDistribution",
    ],
};
static PORT: Schema = Schema {
    what: "a Service's port",
    served: &["port", "name", "targetPort", "protocol"],
    not_yet: &[],
    skipped: &["appProtocol", "nodePort"],
};

/// Reads a Service.
pub(crate) fn read_service(raw: &RawObject, report: &Report) -> Option<Service> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    if let Some(field) = spec.field("type")
        && field.text() == Some("ExternalName")
    {
        let help = "the service has no endpoints, so its requests are answered with 503";
        field.not_served(Gravity::Warns, "ExternalName is known, but not served yet", help);
    }
    let ports = spec.field("ports");
    let ports = ports.iter().flat_map(|field| field.items());
    let ports = ports.filter_map(|item| read_port(&item)).collect();
    Some(Service { metadata, ports })
}

fn read_port(cursor: &Cursor<'_>) -> Option<ServicePort> {
    let fields = cursor.fields(&PORT)?;
    let is_tcp = fields.field("protocol").is_none_or(|field| field.text() == Some("TCP"));
    let name = fields.field("name").and_then(|field| field.text()).unwrap_or_default();
    let target = fields.field("targetPort").and_then(|field| match field.node().value {
        Value::Text(_) => None,
        _ => port(&field),
    });
    let number = port(&fields.required("port")?)?;
    is_tcp.then(|| ServicePort { number, name: name.into(), target })
}
