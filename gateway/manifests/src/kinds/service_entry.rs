//! Istio's `ServiceEntry`.

use std::sync::Arc;

use portcullis_model::{Discovery, HealthCheck, Origin};

use super::entry_endpoint::EntryEndpoint;
use super::entry_port::{EntryPort, read_ports};
use super::entry_resolution::{check_hosts, read_endpoints, read_resolution};
use super::export_to::{Export, read_export_to};
use super::health_check::read_health_check;
use super::workload_selector::read_labels;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Report;
use crate::scalars::{choice, host_pattern};

/// A ServiceEntry.
#[derive(Clone, Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) metadata: Metadata,
    /// In lower case, each with its place.
    pub(crate) hosts: Vec<(Box<str>, Origin)>,
    pub(crate) ports: Vec<EntryPort>,
    pub(crate) resolution: Discovery,
    pub(crate) endpoints: Vec<EntryEndpoint>,
    /// `workloadSelector`: labels of the WorkloadEntries that are its endpoints.
    pub(crate) selector: Option<Vec<(String, String)>>,
    /// `subjectAltNames`
    pub(crate) names: Arc<[Box<str>]>,
    /// Whom it is for.
    pub(crate) export: Export,
    /// How the endpoints are asked whether they are well, by annotation.
    pub(crate) health_check: Option<HealthCheck>,
}

static SPEC: Schema = Schema {
    what: "a ServiceEntry",
    served: &[
        "hosts",
        "addresses",
        "ports",
        "location",
        "resolution",
        "endpoints",
        "workloadSelector",
        "exportTo",
        "subjectAltNames",
    ],
    not_yet: &[],
    skipped: &[],
};
/// Reads a ServiceEntry.
pub(crate) fn read_service_entry(raw: &RawObject, report: &Report) -> Option<ServiceEntry> {
    let metadata = read_metadata(raw, report);
    let health_check = read_health_check(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    spec.exclusive(&["endpoints", "workloadSelector"]);
    let resolution = read_resolution(&spec);
    let hosts = read_hosts(&spec);
    let ports = read_ports(&spec);
    let endpoints = read_endpoints(&spec, resolution, &ports);
    check_hosts(&spec, resolution);
    check_addresses(&spec, resolution);
    if let Some(field) = spec.field("location") {
        // In Istio it tells sidecars whether to speak mutual TLS by themselves; a gateway is told by a DestinationRule.
        choice(&field, &[("MESH_EXTERNAL", ()), ("MESH_INTERNAL", ())]);
    }
    let selector = spec.field("workloadSelector").and_then(|field| read_labels(&field));
    let names = spec.field("subjectAltNames").map(|field| read_names(&field)).unwrap_or_default();
    let export = read_export_to(spec.field("exportTo"));
    Some(ServiceEntry {
        metadata,
        hosts,
        ports,
        resolution,
        endpoints,
        selector,
        names,
        export,
        health_check,
    })
}

fn read_hosts(spec: &Fields<'_>) -> Vec<(Box<str>, Origin)> {
    let mut hosts = Vec::new();
    let Some(field) = spec.required("hosts") else { return hosts };
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        if text == "*" {
            item.refuse("a ServiceEntry cannot be for every host", "write `*.suffix` or a name");
        } else if host_pattern(&item, text).is_some() {
            hosts.push((text.to_ascii_lowercase().into(), item.origin()));
        }
    }
    hosts
}

/// Virtual addresses mean nothing to a gateway, whose clients do not connect to them; they are checked alone.
fn check_addresses(spec: &Fields<'_>, resolution: Discovery) {
    let Some(field) = spec.field("addresses") else { return };
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, length.parse::<u8>().ok()),
            None => (text, Some(0)),
        };
        let most = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => 0,
        };
        if most == 0 || length.is_none_or(|length| length > most) {
            item.refuse(format!("`{text}` is no IP address and no network"), "");
        } else if text.contains('/') && !matches!(resolution, Discovery::None | Discovery::Static) {
            item.refuse("a network needs the resolution NONE or STATIC", "write single addresses");
        }
    }
}

fn read_names(field: &Cursor<'_>) -> Arc<[Box<str>]> {
    let names = field.items().filter_map(|item| {
        let text = item.text()?;
        if text.is_empty() {
            item.refuse("a name may not be empty", "");
        }
        (!text.is_empty()).then(|| text.into())
    });
    names.collect()
}
