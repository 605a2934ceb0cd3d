//! `EdgePolicy`: how a Gateway's connections and requests are limited and read.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::edge_fields::read_settings;
use super::edge_filters::{closed_limit, is_off, read_filters};
use super::edge_setting::{PlacedSetting, Reach};
use super::gateway_api::GROUP;
use super::plugin_target::is_in_group;
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// An EdgePolicy.
#[derive(Clone, Debug)]
pub(crate) struct EdgePolicy {
    pub(crate) metadata: Metadata,
    /// What it is for; none is for every Gateway of its namespace, in the root namespace of all.
    pub(crate) targets: Vec<PolicyTarget>,
    pub(crate) settings: Vec<PlacedSetting>,
    /// A rate limit is written, whether it can be read or not.
    pub(crate) limits_rate: bool,
}

impl EdgePolicy {
    /// One that is broken: nothing of it but that it limits, as nobody knows to what. Where it is not known for what, it is
    /// for its namespace.
    pub(crate) fn closed(&self) -> Self {
        let settings = vec![closed_limit(&self.metadata.origin)];
        EdgePolicy { settings, ..self.clone() }
    }
}

/// Something that a policy is for, in its own namespace.
#[derive(Clone, Debug)]
pub(crate) struct PolicyTarget {
    pub(crate) kind: TargetKind,
    /// The API group, where it is written: both Istio and Gateway API have a Gateway.
    pub(crate) group: Option<Box<str>>,
    pub(crate) name: Arc<str>,
    /// A server's name, a listener's, or a rule's.
    pub(crate) section: Option<Arc<str>>,
    pub(crate) origin: Origin,
    /// The field's path.
    pub(crate) field: String,
}

impl PolicyTarget {
    /// Whether it means an object of this kind and the policy's own namespace.
    pub(crate) fn means(&self, kind: TargetKind, id: &ObjectId) -> bool {
        self.kind == kind
            && *id.kind == *kind.as_str()
            && self.name == id.name
            && is_in_group(self.group.as_deref(), id)
    }
}

/// What a policy can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Gateway,
    /// Its listeners, of the Gateway that it belongs to.
    ListenerSet,
    VirtualService,
    HttpRoute,
    GrpcRoute,
}

impl TargetKind {
    /// The kind's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TargetKind::Gateway => "Gateway",
            TargetKind::ListenerSet => "ListenerSet",
            TargetKind::VirtualService => "VirtualService",
            TargetKind::HttpRoute => "HTTPRoute",
            TargetKind::GrpcRoute => "GRPCRoute",
        }
    }

    fn groups(self) -> &'static [&'static str] {
        match self {
            TargetKind::Gateway => &[ISTIO, GROUP],
            TargetKind::VirtualService => &[ISTIO],
            TargetKind::ListenerSet | TargetKind::HttpRoute | TargetKind::GrpcRoute => &[GROUP],
        }
    }
}

static SPEC: Schema = Schema {
    what: "an EdgePolicy",
    served: &[
        "targetRefs",
        "timeouts",
        "limits",
        "http2",
        "path",
        "headers",
        "rateLimit",
        "errorBodies",
    ],
    not_yet: &[],
    skipped: &[],
};
static TARGET: Schema = Schema {
    what: "a target",
    served: &["group", "kind", "name", "namespace", "sectionName"],
    not_yet: &[],
    skipped: &[],
};

const ISTIO: &str = "networking.istio.io";

/// Reads an EdgePolicy.
pub(crate) fn read_edge_policy(raw: &RawObject, report: &Report) -> Option<EdgePolicy> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    let fields = root.fields(&OBJECT)?;
    let spec = fields.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let targets = read_targets(&spec, &metadata.id.namespace);
    let mut settings = read_settings(&spec);
    settings.extend(read_filters(&spec));
    if settings.is_empty() && !report.is_broken() {
        spec.cursor().report(
            Gravity::Warns,
            codes::MISSING,
            "the EdgePolicy sets nothing",
            "write one of `timeouts`, `limits`, `http2`, `path`, `headers`, `rateLimit`, `errorBodies`",
        );
    }
    check_reach(&targets, &settings, report);
    let limits_rate = spec.field("rateLimit").is_some_and(|field| !is_off(&field));
    Some(EdgePolicy { metadata, targets, settings, limits_rate })
}

fn read_targets(spec: &Fields<'_>, namespace: &Arc<str>) -> Vec<PolicyTarget> {
    let Some(field) = spec.field("targetRefs") else { return Vec::new() };
    if field.is_empty_list() {
        field.refuse(
            "an empty list is no target",
            "leave `targetRefs` out to cover every Gateway of the namespace",
        );
    }
    field.items().filter_map(|item| read_target(&item, namespace)).collect()
}

fn read_target(item: &Cursor<'_>, own: &Arc<str>) -> Option<PolicyTarget> {
    let fields = item.fields(&TARGET)?;
    if let Some(field) = fields.field("namespace")
        && field.text()? != &**own
    {
        let message = format!("an EdgePolicy is for its own namespace, `{own}`");
        field.refuse(message, "write the policy in the target's namespace");
    }
    let kind = fields.required("kind").and_then(|field| read_kind(&field));
    let group = fields.field("group").filter(|field| !field.is_empty_text());
    if let (Some(field), Some(kind)) = (&group, kind)
        && !kind.groups().contains(&field.text()?)
    {
        let message = format!("a {} is not of this group", kind.as_str());
        field.refuse(
            message,
            format!("write `{}`, or leave `group` out", kind.groups().join("` or `")),
        );
    }
    let group = group.and_then(|field| field.text()).map(Into::into);
    let name = fields.required("name").and_then(|field| field.text());
    let section = match fields.field("sectionName") {
        Some(field) => Some(field.text()?.into()),
        None => None,
    };
    let (origin, field) = (item.origin(), item.path());
    Some(PolicyTarget { kind: kind?, group, name: name?.into(), section, origin, field })
}

fn read_kind(field: &Cursor<'_>) -> Option<TargetKind> {
    match field.text()? {
        "Gateway" => Some(TargetKind::Gateway),
        "ListenerSet" => Some(TargetKind::ListenerSet),
        "VirtualService" => Some(TargetKind::VirtualService),
        "HTTPRoute" => Some(TargetKind::HttpRoute),
        "GRPCRoute" => Some(TargetKind::GrpcRoute),
        text => {
            let message = format!("an EdgePolicy cannot be for a {text}");
            field.refuse(
                message,
                "write Gateway, ListenerSet, VirtualService, HTTPRoute or GRPCRoute",
            );
            None
        }
    }
}

/// Before a request is known there is no VirtualService, so that much cannot be set for one.
fn check_reach(targets: &[PolicyTarget], settings: &[PlacedSetting], report: &Report) {
    let listens = |kind| matches!(kind, TargetKind::Gateway | TargetKind::ListenerSet);
    let Some(target) = targets.iter().find(|target| !listens(target.kind)) else { return };
    for placed in settings.iter().filter(|placed| placed.setting.reach() != Reach::Rule) {
        let message = format!(
            "this cannot be set for a {}, which {} names: it counts before the route is known",
            target.kind.as_str(),
            target.field
        );
        let help = "set it for the Gateway, in an EdgePolicy of its own; for a route there are limits.requestBody, limits.minRate, timeouts.streamIdle, timeouts.stalledBody, rateLimit and errorBodies";
        let (field, origin) = (placed.field.clone(), placed.origin.clone());
        let said = (message, help.to_owned());
        report.add(Gravity::Breaks, codes::BAD_VALUE, field, origin, said);
    }
}
