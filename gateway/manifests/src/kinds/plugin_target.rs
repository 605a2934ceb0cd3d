//! What a plugin or policy covers: `selector`, `targetRef`, `targetRefs`.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::gateway_api::GROUP;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::yaml::Node;

/// The namespace whose plugins and policies are for every namespace.
pub(crate) const ROOT_NAMESPACE: &str = "istio-system";

/// What a plugin or policy covers.
#[derive(Clone, Debug)]
pub(crate) enum Coverage {
    /// All Gateways.
    Every,
    /// Those of a namespace.
    Namespace(Arc<str>),
    /// What narrows it cannot be read: everything that an object of this namespace can cover.
    Unclear(Arc<str>),
    /// Those that an object of this namespace may select, and whose selector and labels have all of these.
    Labels { namespace: Arc<str>, labels: Vec<(String, String)>, origin: Origin },
    /// Those named.
    Named(Vec<Target>),
}

/// Something that a plugin names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: PluginTargetKind,
    /// The API group, where it is written: both Istio and Gateway API have a Gateway.
    pub(crate) group: Option<Box<str>>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    /// `sectionName`: a server's name, or a rule's.
    pub(crate) section: Option<Arc<str>>,
    pub(crate) origin: Origin,
    /// The field's path.
    pub(crate) field: String,
}

/// What a plugin can be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PluginTargetKind {
    Gateway,
    VirtualService,
    HttpRoute,
    GrpcRoute,
    /// All Gateways of a class; from the root namespace alone.
    GatewayClass,
}

impl PluginTargetKind {
    /// The kind's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            PluginTargetKind::Gateway => "Gateway",
            PluginTargetKind::VirtualService => "VirtualService",
            PluginTargetKind::HttpRoute => "HTTPRoute",
            PluginTargetKind::GrpcRoute => "GRPCRoute",
            PluginTargetKind::GatewayClass => "GatewayClass",
        }
    }

    fn groups(self) -> &'static [&'static str] {
        match self {
            PluginTargetKind::Gateway => &["networking.istio.io", "gateway.networking.k8s.io"],
            PluginTargetKind::VirtualService => &["networking.istio.io"],
            PluginTargetKind::HttpRoute
            | PluginTargetKind::GrpcRoute
            | PluginTargetKind::GatewayClass => &["gateway.networking.k8s.io"],
        }
    }
}

impl Target {
    /// Whether it means an object of this kind.
    pub(crate) fn means(&self, kind: PluginTargetKind, id: &ObjectId) -> bool {
        *id.kind == *kind.as_str()
            && self.kind == kind
            && is_in_group(self.group.as_deref(), id)
            && self.namespace == id.namespace
            && self.name == id.name
    }
}

/// Whether an object is of the group that a target names, if any.
pub(super) fn is_in_group(group: Option<&str>, id: &ObjectId) -> bool {
    match (group, &*id.kind) {
        (Some(GROUP), "Gateway") => id.group == GROUP,
        (Some(_), "Gateway") => id.group.is_empty(),
        _ => true,
    }
}

/// Who covers something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverer {
    /// Attached to Gateways and, beyond Istio, to routes and their rules.
    Plugin,
    /// Attached to Gateways.
    Policy,
}

static SELECTOR: Schema =
    Schema { what: "a selector", served: &["matchLabels"], not_yet: &[], skipped: &[] };
static TARGET: Schema = Schema {
    what: "a target",
    served: &["group", "kind", "name", "namespace", "sectionName"],
    not_yet: &[],
    skipped: &[],
};

/// Reads what a plugin covers; without a selector or target its own namespace. Where it cannot be read it is everything
/// that it could be, so that a broken plugin that should protect something does not leave it open.
pub(crate) fn read_coverage(spec: &Fields<'_>, namespace: &Arc<str>, coverer: Coverer) -> Coverage {
    if spec.exclusive(&["selector", "targetRef", "targetRefs"]) {
        return Coverage::Unclear(namespace.clone());
    }
    if selects_nothing(spec) {
        return of_namespace(namespace);
    }
    if let Some(field) = spec.field("selector") {
        let selector = read_selector(&field, namespace);
        return selector.unwrap_or_else(|| Coverage::Unclear(namespace.clone()));
    }
    let mut targets = Vec::new();
    let mut all_readable = true;
    let mut take = |item: &Cursor<'_>| match read_target(item, namespace, coverer) {
        Some(target) => targets.push(target),
        None => all_readable = false,
    };
    if let Some(field) = spec.field("targetRef") {
        take(&field);
    }
    if let Some(field) = spec.field("targetRefs") {
        field.items().for_each(|item| take(&item));
    }
    match all_readable && !targets.is_empty() {
        true => Coverage::Named(targets),
        false => Coverage::Unclear(namespace.clone()),
    }
}

/// Whether neither labels nor targets narrow it.
fn selects_nothing(spec: &Fields<'_>) -> bool {
    let narrowed = ["selector", "targetRef", "targetRefs"];
    let is_empty = spec.field("selector").is_some_and(|field| {
        let labels = field.node().field("matchLabels");
        field.is_empty_mapping() || labels.is_some_and(Node::is_empty_mapping)
    });
    is_empty || narrowed.iter().all(|name| spec.field(name).is_none())
}

/// What an object that selects nothing covers.
pub(super) fn of_namespace(namespace: &Arc<str>) -> Coverage {
    match &**namespace {
        ROOT_NAMESPACE => Coverage::Every,
        _ => Coverage::Namespace(namespace.clone()),
    }
}

fn read_selector(field: &Cursor<'_>, namespace: &Arc<str>) -> Option<Coverage> {
    let fields = field.fields(&SELECTOR)?;
    let labels = fields.field("matchLabels")?;
    let written = labels.entries().count();
    let read = labels.text_map();
    // A label that is no string narrows the selector in a way that is not known.
    let whole = written == read.len() && !read.is_empty();
    let (namespace, origin) = (namespace.clone(), labels.origin());
    whole.then_some(Coverage::Labels { namespace, labels: read, origin })
}

fn read_target(item: &Cursor<'_>, own: &Arc<str>, coverer: Coverer) -> Option<Target> {
    let fields = item.fields(&TARGET)?;
    if let Some(field) = fields.field("namespace")
        && field.text()? != &**own
    {
        let message = format!("a target is one of {}'s own namespace, `{own}`", coverer.said());
        field.refuse(message, "write the object in the target's namespace");
        return None;
    }
    let name = fields.required("name").and_then(|field| field.text());
    let kind = read_kind(&fields.required("kind")?, coverer)?;
    let group = fields.field("group").filter(|field| !field.is_empty_text());
    if let Some(field) = &group
        && !kind.groups().contains(&field.text()?)
    {
        let message = format!("a {} is not of this group", kind.as_str());
        field.refuse(message, format!("write `{}`", kind.groups().join("` or `")));
        return None;
    }
    let section = match fields.field("sectionName") {
        Some(field) => Some(field.text()?.into()),
        None => None,
    };
    let group = group.and_then(|field| field.text()).map(Into::into);
    let (origin, field) = (item.origin(), item.path());
    Some(Target { kind, group, namespace: own.clone(), name: name?.into(), section, origin, field })
}

fn read_kind(kind: &Cursor<'_>, coverer: Coverer) -> Option<PluginTargetKind> {
    match (kind.text()?, coverer) {
        ("Gateway", _) => Some(PluginTargetKind::Gateway),
        ("GatewayClass", Coverer::Policy) => Some(PluginTargetKind::GatewayClass),
        ("VirtualService", Coverer::Plugin) => Some(PluginTargetKind::VirtualService),
        ("HTTPRoute", Coverer::Plugin) => Some(PluginTargetKind::HttpRoute),
        ("GRPCRoute", Coverer::Plugin) => Some(PluginTargetKind::GrpcRoute),
        (
            text @ ("VirtualService" | "HTTPRoute" | "GRPCRoute" | "Service" | "ServiceEntry"
            | "GatewayClass"),
            _,
        ) => {
            let message = format!("{} on a {text} is known, but not served yet", coverer.said());
            let help =
                "attach it to a Gateway; until then its failStrategy answers on every Gateway";
            kind.not_served(Gravity::Breaks, message, help);
            None
        }
        (text, _) => {
            let help = match coverer {
                Coverer::Plugin => "write Gateway, VirtualService, HTTPRoute or GRPCRoute",
                Coverer::Policy => "write Gateway or GatewayClass",
            };
            kind.refuse(format!("{} cannot be attached to a {text}", coverer.said()), help);
            None
        }
    }
}

impl Coverer {
    fn said(self) -> &'static str {
        match self {
            Coverer::Plugin => "a plugin",
            Coverer::Policy => "a policy",
        }
    }
}
