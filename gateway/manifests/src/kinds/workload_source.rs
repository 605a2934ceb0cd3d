//! What a match asks of the gateway itself: `gateways`, `sourceLabels`, `sourceNamespace`.

use std::sync::Arc;

use portcullis_model::RequestMatch;

use crate::codes;
use crate::reader::{Cursor, Fields};
use crate::report::Gravity;

/// The workload that requests come from, which at an ingress gateway is the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SourceMatch {
    /// `sourceLabels`
    pub(crate) labels: Vec<(String, String)>,
    /// `sourceNamespace`
    pub(crate) namespace: Option<Box<str>>,
}

impl SourceMatch {
    /// Whether it asks for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.namespace.is_none()
    }

    /// What both ask for; `None` where they contradict each other.
    pub(crate) fn and(&self, other: &SourceMatch) -> Option<SourceMatch> {
        let namespace = match (&self.namespace, &other.namespace) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        let mut labels = self.labels.clone();
        labels.extend(other.labels.iter().filter(|label| !self.labels.contains(label)).cloned());
        Some(SourceMatch { labels, namespace })
    }
}

/// Reads what a match asks of the gateway. `own` are the Gateways of the route, as `ns/name`, and its namespace.
pub(super) fn read_source(
    fields: &Fields<'_>,
    own: (&[Arc<str>], &Arc<str>),
    found: &mut RequestMatch,
) -> SourceMatch {
    let labels = fields.field("sourceLabels").map(|field| field.text_map()).unwrap_or_default();
    let namespace = fields.field("sourceNamespace").and_then(|field| field.text());
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    let source = SourceMatch { labels, namespace: namespace.map(Into::into) };
    let Some(field) = fields.field("gateways").filter(|field| !field.is_empty_list()) else {
        return source;
    };
    let (named, holds) = read_gateways(&field, own);
    found.gateways = named;
    found.never |= !holds;
    if !source.is_empty() {
        fields.cursor().report(
            Gravity::Warns,
            codes::NO_EFFECT,
            "`sourceLabels` and `sourceNamespace` mean nothing beside `gateways`, as in Istio",
            "remove the one or the other",
        );
    }
    SourceMatch::default()
}

/// The Gateways that a match names, as far as they are the route's own, and whether there is one.
pub(super) fn read_gateways(
    field: &Cursor<'_>,
    (own, namespace): (&[Arc<str>], &Arc<str>),
) -> (Vec<Arc<str>>, bool) {
    let mut named: Vec<Arc<str>> = Vec::new();
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        let full = if text.contains('/') { text.to_owned() } else { format!("{namespace}/{text}") };
        match own.iter().find(|own| ***own == *full) {
            Some(own) if !named.contains(own) => named.push(own.clone()),
            Some(_) => {}
            None if text == "mesh" => {}
            None => item.report(
                Gravity::Warns,
                codes::NEVER_MATCHES,
                format!(
                    "`{text}` is none of the route's own Gateways, so this never applies there"
                ),
                "add it to `spec.gateways`, or correct it",
            ),
        }
    }
    let holds = !named.is_empty();
    (named, holds)
}
