//! Kubernetes' `ConfigMap`, as far as it holds certificates of authorities.

use std::sync::Arc;

use crate::metadata::{Metadata, read_metadata};
use crate::raw_object::RawObject;
use crate::report::Report;

/// A ConfigMap.
#[derive(Clone, Debug)]
pub(crate) struct ConfigMap {
    pub(crate) metadata: Metadata,
    /// `ca.crt`, as PEM; whether it can be used is asked by who names the ConfigMap.
    pub(crate) authorities: Option<Arc<str>>,
}

/// Reads a ConfigMap. Nothing else in it concerns a gateway, so nothing is reported.
pub(super) fn read_config_map(raw: &RawObject, report: &Report) -> ConfigMap {
    let metadata = read_metadata(raw, report);
    let data = raw.node.field("data");
    let authorities = data.and_then(|data| data.field("ca.crt")).and_then(|entry| entry.text());
    ConfigMap { metadata, authorities: authorities.map(Into::into) }
}
