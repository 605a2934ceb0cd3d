//! Istio's `DestinationRule`.

use portcullis_model::{HealthCheck, Origin};

use super::export_to::{Export, read_export_to};
use super::health_check::read_health_check;
use super::traffic_policy::{Detection, TrafficPolicy, read_policy};
use super::workload_selector::read_match_labels;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::Report;

/// A DestinationRule.
#[derive(Clone, Debug)]
pub(crate) struct DestinationRule {
    pub(crate) metadata: Metadata,
    /// In lower case; `*.suffix` is allowed.
    pub(crate) host: Box<str>,
    pub(crate) host_origin: Origin,
    /// `None` where no `trafficPolicy` is written.
    pub(crate) policy: Option<TrafficPolicy>,
    /// Where it stands, else where the rule does.
    pub(crate) policy_origin: Origin,
    pub(crate) subsets: Vec<Subset>,
    /// Whom it is for.
    pub(crate) export: Export,
    /// `workloadSelector`: labels of the Gateways that it is for, and where; `None` where it is for all.
    pub(crate) selector: Option<(Vec<(String, String)>, Origin)>,
    /// How the endpoints are asked whether they are well, by annotation.
    pub(crate) health_check: Option<HealthCheck>,
}

/// One entry of `subsets`.
#[derive(Clone, Debug)]
pub(crate) struct Subset {
    pub(crate) origin: Origin,
    /// Which one of `spec.subsets` it is.
    pub(crate) index: usize,
    pub(crate) name: Box<str>,
    /// Labels that an endpoint must have.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) policy: TrafficPolicy,
}

static SPEC: Schema = Schema {
    what: "a DestinationRule",
    served: &["host", "trafficPolicy", "subsets", "exportTo", "workloadSelector"],
    not_yet: &[],
    skipped: &[],
};
static SUBSET: Schema = Schema {
    what: "a subset",
    served: &["name", "labels", "trafficPolicy"],
    not_yet: &[],
    skipped: &[],
};

/// Reads a DestinationRule.
pub(crate) fn read_destination_rule(raw: &RawObject, report: &Report) -> Option<DestinationRule> {
    let metadata = read_metadata(raw, report);
    let health_check = read_health_check(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let mut detection = match &health_check {
        Some(_) => Detection::Inherited,
        None => Detection::Missing,
    };
    let policy = spec.field("trafficPolicy");
    let policy_origin = policy.as_ref().map_or_else(|| metadata.origin.clone(), Cursor::origin);
    let policy = policy.map(|field| read_policy(&field, detection));
    if policy.as_ref().is_some_and(TrafficPolicy::detects) {
        detection = Detection::Inherited;
    }
    let subsets = spec.field("subsets");
    let subsets = subsets.map(|field| read_subsets(&field, detection)).unwrap_or_default();
    let export = read_export_to(spec.field("exportTo"));
    let selector = spec.field("workloadSelector");
    let selector = selector.and_then(|field| Some((read_match_labels(&field)?, field.origin())));
    let field = spec.required("host")?;
    let host = field.text()?.to_ascii_lowercase().into();
    let host_origin = field.origin();
    Some(DestinationRule {
        metadata,
        host,
        host_origin,
        policy,
        policy_origin,
        subsets,
        export,
        selector,
        health_check,
    })
}

impl DestinationRule {
    /// Whether any part of it asks for TLS.
    pub(crate) fn demands_tls(&self) -> bool {
        let policies = self.subsets.iter().map(|subset| &subset.policy);
        policies.chain(&self.policy).any(TrafficPolicy::demands_tls)
    }

    /// The rule of a broken object: what it asks of TLS must hold all the same.
    pub(crate) fn tls_alone(&self) -> Self {
        let policy = self.policy.as_ref().map(TrafficPolicy::tls_alone);
        DestinationRule { policy, subsets: Vec::new(), health_check: None, ..self.clone() }
    }
}

fn read_subsets(list: &Cursor<'_>, detection: Detection) -> Vec<Subset> {
    let mut subsets: Vec<Subset> = Vec::new();
    for (index, item) in list.items().enumerate() {
        let Some(subset) = read_subset(&item, index, detection) else { continue };
        if subsets.iter().any(|known| known.name == subset.name) {
            let message = format!("the subset `{}` is written twice", subset.name);
            item.refuse(message, "rename or remove one of them");
        } else {
            subsets.push(subset);
        }
    }
    subsets
}

fn read_subset(cursor: &Cursor<'_>, index: usize, detection: Detection) -> Option<Subset> {
    let fields = cursor.fields(&SUBSET)?;
    let labels = fields.field("labels").map(|field| field.text_map()).unwrap_or_default();
    let policy = fields.field("trafficPolicy");
    let policy = policy.map(|field| read_policy(&field, detection)).unwrap_or_default();
    let name = fields.required("name")?.text()?.into();
    Some(Subset { origin: cursor.origin(), index, name, labels, policy })
}
