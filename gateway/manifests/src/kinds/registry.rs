//! Which kinds there are, in which API groups and versions, and what becomes of each.

use crate::codes;
use crate::raw_object::RawObject;
use crate::reader::Cursor;
use crate::report::{Gravity, Report};
use crate::suggest::closest;

/// The kinds that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    VirtualService,
    DestinationRule,
    ServiceEntry,
    WorkloadEntry,
    Service,
    EndpointSlice,
    Secret,
    Namespace,
    ConfigMap,
    GatewayClass,
    /// Gateway API's.
    ApiGateway,
    ListenerSet,
    ReferenceGrant,
    HttpRoute,
    GrpcRoute,
    WasmPlugin,
    EdgePolicy,
    Telemetry,
    AuthorizationPolicy,
    RequestAuthentication,
    TlsRoute,
    TcpRoute,
    BackendTlsPolicy,
    Ingress,
    IngressClass,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Served(Kind),
    /// Known, and nothing to a gateway.
    Skipped,
    /// Known, and skipped with a warning.
    NotYet,
    /// The group has no such version.
    UnknownVersion(&'static Group),
    /// The group has no such kind.
    UnknownKind(&'static Group),
    /// None of the gateway's groups.
    Foreign,
}

/// An API group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    name: &'static str,
    versions: &'static [&'static str],
    served: &'static [(&'static str, Kind)],
    not_yet: &'static [&'static str],
    skipped: &'static [&'static str],
}

static GROUPS: [Group; 9] = [
    Group {
        name: "networking.istio.io",
        versions: &["v1", "v1beta1", "v1alpha3"],
        served: &[
            ("Gateway", Kind::Gateway),
            ("VirtualService", Kind::VirtualService),
            ("DestinationRule", Kind::DestinationRule),
            ("ServiceEntry", Kind::ServiceEntry),
            ("WorkloadEntry", Kind::WorkloadEntry),
        ],
        not_yet: &["EnvoyFilter", "ProxyConfig", "Sidecar", "WorkloadGroup"],
        skipped: &[],
    },
    Group {
        name: "extensions.istio.io",
        versions: &["v1alpha1"],
        served: &[("WasmPlugin", Kind::WasmPlugin), ("TrafficExtension", Kind::WasmPlugin)],
        not_yet: &[],
        skipped: &[],
    },
    Group {
        name: "security.istio.io",
        versions: &["v1", "v1beta1"],
        served: &[
            ("AuthorizationPolicy", Kind::AuthorizationPolicy),
            ("RequestAuthentication", Kind::RequestAuthentication),
        ],
        not_yet: &["PeerAuthentication"],
        skipped: &[],
    },
    Group {
        name: "telemetry.istio.io",
        versions: &["v1", "v1alpha1"],
        served: &[("Telemetry", Kind::Telemetry)],
        not_yet: &[],
        skipped: &[],
    },
    Group {
        name: "gateway.networking.k8s.io",
        versions: &["v1", "v1beta1", "v1alpha2", "v1alpha3"],
        served: &[
            ("GatewayClass", Kind::GatewayClass),
            ("Gateway", Kind::ApiGateway),
            ("ListenerSet", Kind::ListenerSet),
            ("ReferenceGrant", Kind::ReferenceGrant),
            ("HTTPRoute", Kind::HttpRoute),
            ("GRPCRoute", Kind::GrpcRoute),
            ("TLSRoute", Kind::TlsRoute),
            ("TCPRoute", Kind::TcpRoute),
            ("BackendTLSPolicy", Kind::BackendTlsPolicy),
        ],
        not_yet: &["UDPRoute"],
        skipped: &[],
    },
    Group {
        name: "networking.k8s.io",
        versions: &["v1", "v1beta1"],
        served: &[("Ingress", Kind::Ingress), ("IngressClass", Kind::IngressClass)],
        not_yet: &[],
        skipped: &["IPAddress", "NetworkPolicy", "ServiceCIDR"],
    },
    Group {
        name: "discovery.k8s.io",
        versions: &["v1"],
        served: &[("EndpointSlice", Kind::EndpointSlice)],
        not_yet: &[],
        skipped: &[],
    },
    Group {
        name: "portcullis.dev",
        versions: &["v1"],
        served: &[("EdgePolicy", Kind::EdgePolicy)],
        not_yet: &[],
        skipped: &[],
    },
    Group {
        name: "",
        versions: &["v1"],
        served: &[
            ("Service", Kind::Service),
            ("Secret", Kind::Secret),
            ("Namespace", Kind::Namespace),
            ("ConfigMap", Kind::ConfigMap),
        ],
        not_yet: &["Endpoints"],
        skipped: &[
            "Event",
            "LimitRange",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "ServiceAccount",
        ],
    },
];

/// What becomes of an object of this group, version and kind.
pub(super) fn look_up(raw: &RawObject) -> Standing {
    let Some(group) = GROUPS.iter().find(|group| *group.name == *raw.group) else {
        return Standing::Foreign;
    };
    let kind = &*raw.id.kind;
    let standing = if let Some((_, served)) = group.served.iter().find(|(name, _)| *name == kind) {
        Standing::Served(*served)
    } else if group.not_yet.contains(&kind) {
        Standing::NotYet
    } else if group.skipped.contains(&kind) {
        Standing::Skipped
    } else {
        return Standing::UnknownKind(group);
    };
    if group.versions.contains(&&*raw.version) { standing } else { Standing::UnknownVersion(group) }
}

/// Reports an object that is not served.
pub(super) fn report(raw: &RawObject, standing: Standing, report: &Report) {
    let kind = &raw.id.kind;
    let root = Cursor::root(&raw.node, report);
    match standing {
        Standing::Served(_) | Standing::Skipped => {}
        Standing::NotYet => root.report(
            Gravity::Warns,
            codes::KIND_NOT_SERVED,
            format!("the kind {kind} is known, but not served yet"),
            "the object has no effect here",
        ),
        Standing::UnknownVersion(group) => root.report(
            Gravity::Breaks,
            codes::UNKNOWN_VERSION,
            format!("the group `{}` has no version `{}`", group.shown(), raw.version),
            format!("write one of: {}", group.versions.join(", ")),
        ),
        Standing::UnknownKind(group) => root.report(
            Gravity::Breaks,
            codes::UNKNOWN_KIND,
            format!("the group `{}` has no kind `{kind}`", group.shown()),
            help_for_kind(kind, group),
        ),
        Standing::Foreign => root.report(
            Gravity::Warns,
            codes::FOREIGN_KIND,
            format!(
                "`{}/{}` is no API of the gateway; the object is skipped",
                raw.group, raw.version
            ),
            help_for_group(&raw.group, kind),
        ),
    }
}

impl Group {
    fn shown(&self) -> &'static str {
        if self.name.is_empty() { "core" } else { self.name }
    }

    fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let rest = self.not_yet.iter().chain(self.skipped);
        self.served.iter().map(|(name, _)| *name).chain(rest.copied())
    }
}

fn help_for_kind(kind: &str, group: &Group) -> String {
    if let Some(near) = closest(kind, group.kinds()) {
        return format!("did you mean `{near}`?");
    }
    let other = GROUPS.iter().find(|group| group.kinds().any(|name| name == kind));
    match other.map(|other| (other.name, other.versions.first())) {
        Some(("", _)) => "its apiVersion is `v1`".to_owned(),
        Some((name, Some(version))) => format!("its apiVersion is `{name}/{version}`"),
        _ => "correct `kind` or `apiVersion`".to_owned(),
    }
}

fn help_for_group(name: &str, kind: &str) -> String {
    if (name, kind) == ("extensions", "Ingress") {
        return "write `networking.k8s.io/v1`: a backend has `service: {name, port}` there, and a path its `pathType`".to_owned();
    }
    match closest(name, GROUPS.iter().map(|group| group.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "keep it elsewhere if the warning is a bother".to_owned(),
    }
}
