//! Kubernetes' `Namespace`: its labels.

use crate::metadata::{Metadata, read_metadata};
use crate::raw_object::RawObject;
use crate::report::Report;

/// A Namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) metadata: Metadata,
}

/// Reads a Namespace.
pub(super) fn read_namespace(raw: &RawObject, report: &Report) -> Namespace {
    Namespace { metadata: read_metadata(raw, report) }
}
