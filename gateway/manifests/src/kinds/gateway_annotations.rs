//! The annotations of a Gateway, `portcullis.dev/…`.

use portcullis_model::{ManifestDemand, ProxyProtocol};

use super::edge_setting::{PlacedSetting, Setting};
use crate::codes;
use crate::metadata::annotations;
use crate::raw_object::RawObject;
use crate::reader::Cursor;
use crate::report::{Gravity, Report};
use crate::scalars::choice;
use crate::suggest::closest;

const PREFIX: &str = "portcullis.dev/";
const PROXY_PROTOCOL: &str = "proxy-protocol";
const PLUGIN_MANIFESTS: &str = "plugin-manifests";
const ROUTE_ORDER: &str = "route-order";

/// In which order rules of several VirtualServices on one host are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum RouteOrder {
    /// As the VirtualServices were created, those that take everything last (Istio's).
    #[default]
    Creation,
    /// The most particular first.
    Specificity,
}

/// `portcullis.dev/route-order`.
pub(super) fn read_route_order(raw: &RawObject, report: &Report) -> RouteOrder {
    let words = [("creation", RouteOrder::Creation), ("specificity", RouteOrder::Specificity)];
    let mut order = RouteOrder::default();
    let Some(annotations) = annotations(raw) else { return order };
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return;
        }
        for (name, value) in all.entries() {
            if name.strip_prefix(PREFIX) == Some(ROUTE_ORDER) {
                order = choice(&value, &words).unwrap_or_default();
            }
        }
    });
    order
}

/// Reads what a Gateway's annotations set for its sockets, and reports annotations of ours that are unknown.
pub(super) fn read_annotations(raw: &RawObject, report: &Report) -> Vec<PlacedSetting> {
    let mut settings = Vec::new();
    let Some(annotations) = annotations(raw) else { return settings };
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return;
        }
        for (name, value) in all.entries() {
            match name.strip_prefix(PREFIX) {
                None | Some(PLUGIN_MANIFESTS) => {}
                // Only VirtualServices can be ordered so, and those are on Istio's Gateways.
                Some(ROUTE_ORDER) if *raw.group == *"networking.istio.io" => {}
                Some(PROXY_PROTOCOL) => settings.extend(read_proxy_protocol(&value)),
                Some(name) => unknown(&value, name),
            }
        }
    });
    settings
}

/// Whether `portcullis.dev/plugin-manifests: required` is there. What cannot be read demands them.
pub(super) fn read_manifest_demand(raw: &RawObject, report: &Report) -> ManifestDemand {
    let mut demand = ManifestDemand::None;
    let Some(annotations) = annotations(raw) else { return demand };
    let words = [("required", ManifestDemand::Required), ("optional", ManifestDemand::None)];
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return;
        }
        for (name, value) in all.entries() {
            if name.strip_prefix(PREFIX) == Some(PLUGIN_MANIFESTS) {
                demand = choice(&value, &words).unwrap_or(ManifestDemand::Required);
            }
        }
    });
    demand
}

fn read_proxy_protocol(value: &Cursor<'_>) -> Option<PlacedSetting> {
    let words = [
        ("accept", ProxyProtocol::Accept),
        ("require", ProxyProtocol::Require),
        ("off", ProxyProtocol::Off),
    ];
    let setting = Setting::ProxyProtocol(choice(value, &words)?);
    Some(PlacedSetting { setting, field: value.path(), origin: value.origin() })
}

fn unknown(value: &Cursor<'_>, name: &str) {
    let help = match closest(name, [PROXY_PROTOCOL, PLUGIN_MANIFESTS, ROUTE_ORDER].into_iter()) {
        Some(near) => format!("did you mean `{PREFIX}{near}`?"),
        None => format!(
            "known are {PREFIX}{PROXY_PROTOCOL}, {PREFIX}{PLUGIN_MANIFESTS} and {PREFIX}{ROUTE_ORDER}"
        ),
    };
    let message = format!("there is no annotation `{PREFIX}{name}` of a Gateway");
    value.report(Gravity::Breaks, codes::UNKNOWN_FIELD, message, help);
}
