//! Kubernetes' `Service`.

use portcullis_model::{HealthCheck, UpstreamProtocol};

use super::export_to::{Export, read_export_annotation};
use super::health_check::read_health_check;
use super::upstream_protocol::protocol_of_port;
use crate::metadata::{Metadata, OBJECT, annotations, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{choice, host_pattern, port};
use crate::yaml::Value;

/// A Service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) ports: Vec<ServicePort>,
    /// `type: ExternalName`: the name that DNS knows, in lower case.
    pub(crate) external_name: Option<Box<str>>,
    /// `publishNotReadyAddresses`
    pub(crate) unready: Unready,
    /// `ipFamilies`, the first of which is the one to use.
    pub(crate) families: Vec<AddressFamily>,
    /// `trafficDistribution`
    pub(crate) distribution: Distribution,
    /// Whom it is for, by Istio's annotation.
    pub(crate) export: Export,
    /// How the endpoints are asked whether they are well, by annotation.
    pub(crate) health_check: Option<HealthCheck>,
}

/// One TCP port of a Service.
#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    pub(crate) number: u16,
    /// Empty where it has none.
    pub(crate) name: Box<str>,
    /// A numeric `targetPort`; a named one is resolved in the EndpointSlices, which go by the port's name.
    pub(crate) target: Option<u16>,
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) security: PortSecurity,
}

/// Whether a port asks for TLS by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortSecurity {
    Unsaid,
    /// `appProtocol: kubernetes.io/wss`
    Tls,
}

/// What becomes of endpoints that are not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unready {
    /// They serve nothing.
    #[default]
    Left,
    /// They serve like the others.
    Published,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressFamily {
    V4,
    V6,
}

/// Which endpoints come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// None of them.
    #[default]
    Even,
    /// Those of the gateway's zone.
    Nearest,
}

static SPEC: Schema = Schema {
    what: "a Service",
    served: &[
        "ports",
        "type",
        "externalName",
        "ipFamilies",
        "publishNotReadyAddresses",
        "trafficDistribution",
        "internalTrafficPolicy",
    ],
    not_yet: &[],
    skipped: &[
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "selector",
        "sessionAffinity",
        "sessionAffinityConfig",
    ],
};
static PORT: Schema = Schema {
    what: "a Service's port",
    served: &["port", "name", "targetPort", "protocol", "appProtocol"],
    not_yet: &[],
    skipped: &["nodePort"],
};
const DISTRIBUTIONS: &[(&str, Distribution)] = &[
    ("PreferClose", Distribution::Nearest),
    ("PreferSameZone", Distribution::Nearest),
    ("PreferSameNode", Distribution::Nearest),
];
const FAMILIES: &[(&str, AddressFamily)] =
    &[("IPv4", AddressFamily::V4), ("IPv6", AddressFamily::V6)];
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// Reads a Service.
pub(crate) fn read_service(raw: &RawObject, report: &Report) -> Option<Service> {
    let metadata = read_metadata(raw, report);
    let health_check = read_health_check(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let ports = spec.field("ports");
    let ports = ports.iter().flat_map(|field| field.items());
    let ports = ports.filter_map(|item| read_port(&item)).collect();
    let unready = spec.field("publishNotReadyAddresses").and_then(|field| field.boolean());
    let families = spec.field("ipFamilies");
    let families = families.iter().flat_map(|field| field.items());
    let families = families.filter_map(|item| choice(&item, FAMILIES)).collect();
    let distribution = spec.field("trafficDistribution");
    let distribution = distribution.and_then(|field| choice(&field, DISTRIBUTIONS));
    report_internal_policy(&spec);
    Some(Service {
        metadata,
        ports,
        external_name: read_external_name(&spec),
        unready: if unready == Some(true) { Unready::Published } else { Unready::Left },
        families,
        distribution: distribution.unwrap_or_default(),
        export: read_export(raw, report),
        health_check,
    })
}

fn read_external_name(spec: &Fields<'_>) -> Option<Box<str>> {
    if spec.field("type")?.text()? != "ExternalName" {
        return None;
    }
    let field = spec.required("externalName")?;
    let text = field.text()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.contains('*') || text.is_empty() {
        field.refuse(format!("`{text}` is no name"), "write a DNS name");
        return None;
    }
    if text.parse::<std::net::IpAddr>().is_err() {
        host_pattern(&field, text)?;
    }
    Some(text.to_ascii_lowercase().into())
}

fn read_export(raw: &RawObject, report: &Report) -> Export {
    let Some(annotations) = annotations(raw) else { return Export::Everybody };
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return Export::Everybody;
        }
        let found = all.entries().find(|(name, _)| *name == EXPORT_TO);
        found.map_or(Export::Everybody, |(_, value)| read_export_annotation(&value))
    })
}

fn report_internal_policy(spec: &Fields<'_>) {
    if let Some(field) = spec.field("internalTrafficPolicy")
        && choice(&field, &[("Cluster", false), ("Local", true)]) == Some(true)
    {
        let help = "endpoints of every node serve; a gateway rarely has one on its own";
        field.not_served(Gravity::Warns, "the policy Local is not served", help);
    }
}

fn read_port(cursor: &Cursor<'_>) -> Option<ServicePort> {
    let fields = cursor.fields(&PORT)?;
    let is_tcp = fields.field("protocol").is_none_or(|field| field.text() == Some("TCP"));
    let name = fields.field("name").and_then(|field| field.text()).unwrap_or_default();
    let app_protocol = fields.field("appProtocol");
    let app_protocol = app_protocol.as_ref().and_then(Cursor::text);
    let target = fields.field("targetPort").and_then(|field| match field.node().value {
        Value::Text(_) => None,
        _ => port(&field),
    });
    let number = port(&fields.required("port")?)?;
    let protocol = protocol_of_port(name, app_protocol);
    let security = match app_protocol {
        Some("kubernetes.io/wss") => PortSecurity::Tls,
        _ => PortSecurity::Unsaid,
    };
    is_tcp.then(|| ServicePort { number, name: name.into(), target, protocol, security })
}
