//! Which Gateways a plugin or policy covers: `selector`, `targetRef`, `targetRefs`.

use std::sync::Arc;

use portcullis_model::Origin;

use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;

/// Which Gateways a plugin or policy covers.
#[derive(Clone, Debug)]
pub(crate) enum Coverage {
    /// All: nothing narrows it, or what narrows it cannot be read.
    Every,
    /// Those of a namespace.
    Namespace(Arc<str>),
    /// Those whose selector and labels have all of these.
    Labels { labels: Vec<(String, String)>, origin: Origin },
    /// Those named.
    Named(Vec<Target>),
}

/// A Gateway that a plugin names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    /// The field's path.
    pub(crate) field: String,
}

static SELECTOR: Schema =
    Schema { what: "a selector", served: &["matchLabels"], not_yet: &[], skipped: &[] };
static TARGET: Schema = Schema {
    what: "a target",
    served: &["group", "kind", "name", "namespace"],
    not_yet: &["sectionName"],
    skipped: &[],
};

/// Reads what a plugin covers. Where that cannot be read it is everything, so that a broken plugin that
/// should protect something does not leave it open.
pub(crate) fn read_coverage(spec: &Fields<'_>, namespace: &Arc<str>) -> Coverage {
    if spec.exclusive(&["selector", "targetRef", "targetRefs"]) {
        return Coverage::Every;
    }
    if let Some(field) = spec.field("selector") {
        return read_selector(&field).unwrap_or(Coverage::Every);
    }
    let mut targets = Vec::new();
    let mut all_readable = true;
    let mut take = |item: &Cursor<'_>| match read_target(item, namespace) {
        Some(target) => targets.push(target),
        None => all_readable = false,
    };
    if let Some(field) = spec.field("targetRef") {
        take(&field);
    }
    if let Some(field) = spec.field("targetRefs") {
        field.items().for_each(|item| take(&item));
    }
    if all_readable && !targets.is_empty() { Coverage::Named(targets) } else { Coverage::Every }
}

fn read_selector(field: &Cursor<'_>) -> Option<Coverage> {
    let fields = field.fields(&SELECTOR)?;
    let Some(labels) = fields.field("matchLabels") else { return Some(Coverage::Every) };
    let written = labels.entries().count();
    let read = labels.text_map();
    // A label that is no string narrows the selector in a way that is not known.
    let whole = written == read.len() && !read.is_empty();
    whole.then(|| Coverage::Labels { labels: read, origin: labels.origin() })
}

fn read_target(item: &Cursor<'_>, own: &Arc<str>) -> Option<Target> {
    let fields = item.fields(&TARGET)?;
    let namespace = match fields.field("namespace") {
        Some(field) => field.text()?.into(),
        None => own.clone(),
    };
    let name = fields.required("name").and_then(|field| field.text());
    let kind = fields.required("kind")?;
    match kind.text()? {
        "Gateway" if fields.field("sectionName").is_none() => {}
        "Gateway" => return None,
        text @ ("VirtualService" | "HTTPRoute" | "GRPCRoute" | "Service" | "ServiceEntry"
        | "GatewayClass") => {
            let message = format!("a plugin on a {text} is known, but not served yet");
            let help =
                "attach it to a Gateway; until then its failStrategy answers on every Gateway";
            kind.not_served(Gravity::Breaks, message, help);
            return None;
        }
        text => {
            kind.refuse(format!("a plugin cannot be attached to a {text}"), "write Gateway");
            return None;
        }
    }
    let (origin, field) = (item.origin(), item.path());
    Some(Target { namespace, name: name?.into(), origin, field })
}
