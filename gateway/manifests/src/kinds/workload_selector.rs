//! `workloadSelector`: labels that pick workloads.

use crate::reader::{Cursor, Fields, Schema};

static MATCH_LABELS: Schema =
    Schema { what: "a workload selector", served: &["matchLabels"], not_yet: &[], skipped: &[] };
static LABELS: Schema =
    Schema { what: "a workload selector", served: &["labels"], not_yet: &[], skipped: &[] };

/// The labels of a DestinationRule's `workloadSelector`; an empty one picks everything.
pub(super) fn read_match_labels(field: &Cursor<'_>) -> Option<Vec<(String, String)>> {
    labels_in(&field.fields(&MATCH_LABELS)?, "matchLabels")
}

/// The labels of a ServiceEntry's `workloadSelector`; an empty one picks everything.
pub(super) fn read_labels(field: &Cursor<'_>) -> Option<Vec<(String, String)>> {
    labels_in(&field.fields(&LABELS)?, "labels")
}

fn labels_in(fields: &Fields<'_>, name: &str) -> Option<Vec<(String, String)>> {
    Some(fields.field(name).map(|field| field.text_map()).unwrap_or_default())
}
