//! Istio's `WorkloadEntry`: an endpoint that ServiceEntries of its namespace select by labels.

use super::entry_endpoint::{EntryEndpoint, read_endpoint};
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::Cursor;
use crate::report::Report;

/// A WorkloadEntry.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadEntry {
    pub(crate) metadata: Metadata,
    /// Its labels are those of the object and its own, which win.
    pub(crate) endpoint: EntryEndpoint,
}

/// Reads a WorkloadEntry.
pub(crate) fn read_workload_entry(raw: &RawObject, report: &Report) -> Option<WorkloadEntry> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let mut endpoint = read_endpoint(&root.required("spec")?)?;
    for (name, value) in &metadata.labels {
        if !endpoint.labels.iter().any(|(own, _)| own == name) {
            endpoint.labels.push((name.clone(), value.clone()));
        }
    }
    Some(WorkloadEntry { metadata, endpoint })
}
