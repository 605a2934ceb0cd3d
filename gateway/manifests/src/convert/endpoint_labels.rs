//! The labels that say where an endpoint runs, which `failoverPriority` compares.

use std::sync::Arc;

use portcullis_model::Locality;

/// An endpoint's own labels and those of its place, which Istio gives it too; its own win.
pub(super) fn with_topology(
    own: &[(String, String)],
    locality: Option<&Locality>,
    node: Option<&str>,
    network: &str,
) -> Arc<[(String, String)]> {
    let part = |part: fn(&Locality) -> &str| locality.map_or("", part);
    let place = [
        ("topology.kubernetes.io/region", part(|locality| &locality.region)),
        ("topology.kubernetes.io/zone", part(|locality| &locality.zone)),
        ("topology.istio.io/subzone", part(|locality| &locality.sub_zone)),
        ("topology.istio.io/network", network),
        ("kubernetes.io/hostname", node.unwrap_or_default()),
    ];
    let is_new = |name: &str| !own.iter().any(|(known, _)| known == name);
    let place = place.into_iter().filter(|(name, value)| !value.is_empty() && is_new(name));
    let place = place.map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.iter().cloned().chain(place).collect()
}
