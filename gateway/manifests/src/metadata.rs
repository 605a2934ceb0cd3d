//! What all objects have: identity, labels, annotations, and when they came to be.

use std::cmp::Ordering;
use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::Report;
use crate::yaml::{Node, Value};

/// An object's `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The identity.
    pub(crate) id: ObjectId,
    /// Where the object begins.
    pub(crate) origin: Origin,
    /// `labels`
    pub(crate) labels: Vec<(String, String)>,
    /// Its place in the order of creation.
    pub(crate) created: Created,
    /// `generation`: which version of the spec it is, where the object comes from a cluster.
    pub(crate) generation: Option<i64>,
}

/// When an object was created: `creationTimestamp`, else by file name and place in the file. Objects
/// with a timestamp come before those without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    timestamp: Option<Box<str>>,
    file: Arc<str>,
    /// The lines before its document, and which of its objects it is.
    place: (u32, u32),
}

impl Created {
    /// Of an object that could not be read: after all others.
    pub(crate) fn unknown() -> Self {
        Created { timestamp: None, file: "\u{10ffff}".into(), place: (u32::MAX, u32::MAX) }
    }
}

impl Created {
    /// The older first; two of one second are of one age, as in Kubernetes.
    pub(crate) fn by_age(&self, other: &Self) -> Ordering {
        match (&self.timestamp, &other.timestamp) {
            (Some(ours), Some(theirs)) => ours.cmp(theirs),
            _ => self.cmp(other),
        }
    }
}

impl Ord for Created {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = match (&self.timestamp, &other.timestamp) {
            (Some(ours), Some(theirs)) => ours.cmp(theirs),
            (ours, theirs) => ours.is_none().cmp(&theirs.is_none()),
        };
        by_time.then_with(|| self.file.cmp(&other.file)).then_with(|| self.place.cmp(&other.place))
    }
}

impl PartialOrd for Created {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The top level of an object that has a `spec`.
pub(crate) static OBJECT: Schema = Schema {
    what: "the object",
    served: &["spec"],
    not_yet: &[],
    skipped: &["apiVersion", "kind", "metadata", "status"],
};

/// Reads an object's metadata. Fields that a gateway has no use for are skipped silently.
pub(crate) fn read_metadata(raw: &RawObject, report: &Report) -> Metadata {
    let root = Cursor::root(&raw.node, report);
    let mut labels = Vec::new();
    let mut timestamp = None;
    let mut generation = None;
    for (name, field) in root.entries() {
        if name != "metadata" {
            continue;
        }
        let mut named = false;
        for (name, field) in field.entries() {
            match name {
                "name" => named = field.text().is_some(),
                "namespace" => drop(field.text()),
                "labels" if !field.is_null() => labels = field.text_map(),
                "generation" => generation = number(field.node()),
                "creationTimestamp" => timestamp = field.node().text().and_then(instant),
                _ => {}
            }
        }
        if !named {
            field.missing_name();
        }
    }
    if raw.node.field("metadata").is_none() {
        root.missing_name();
    }
    let place = (raw.lines_before, raw.nth);
    let created = Created { timestamp, file: report.file().clone(), place };
    Metadata { id: raw.id.clone(), origin: root.origin(), labels, created, generation }
}

/// The annotations of an object, as they are written.
pub(crate) fn annotations(raw: &RawObject) -> Option<&Node> {
    raw.node.field("metadata")?.field("annotations")
}

fn number(node: &Node) -> Option<i64> {
    match node.value {
        Value::Integer(number) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// A timestamp as Kubernetes writes it (UTC, whole seconds), which sorts as text.
fn instant(text: &str) -> Option<Box<str>> {
    let shape = |(byte, wanted): (u8, u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        _ => byte == wanted,
    };
    let pattern = b"0000-00-00T00:00:00Z";
    (text.len() == pattern.len() && text.bytes().zip(*pattern).all(shape)).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(timestamp: Option<&str>, file: &str, line: u32) -> Created {
        Created { timestamp: timestamp.and_then(instant), file: file.into(), place: (line, 0) }
    }

    #[test]
    fn creation_order_is_time_then_file_then_place() {
        let order = [
            created(Some("2024-01-01T00:00:00Z"), "z", 9),
            created(Some("2025-01-01T00:00:00Z"), "a", 0),
            created(None, "a", 1),
            created(Some("yesterday"), "a", 2),
            created(None, "b", 0),
        ];
        assert!(order.is_sorted());
    }
}
