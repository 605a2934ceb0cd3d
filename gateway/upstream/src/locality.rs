//! Which endpoints are nearer than others: levels of failover, and shares by locality.

use portcullis_model as model;
use portcullis_model::{Distribute, Failover, Locality, LocalityBalancing};

/// Where this gateway runs, which localities are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Its region, zone and sub-zone; `None` where they are not known, and then no endpoint is nearer.
    pub locality: Option<Locality>,
    /// Its labels, which `failoverPriority` compares.
    pub labels: Vec<(String, String)>,
}

/// How far away an endpoint is, 0 being the nearest; Istio's levels. They need not be contiguous.
///
/// As in Istio, failover is on where outlier detection or health checks are, since without them nothing fails.
pub(crate) fn level_of(
    endpoint: &model::Endpoint,
    settings: &model::Cluster,
    here: &Surroundings,
) -> usize {
    let detects = settings.outliers.is_some() || settings.health_check.is_some();
    match &settings.balancing.locality {
        Some(LocalityBalancing::FailoverPriority(labels)) if detects => {
            let shared = labels.iter().take_while(|label| shares_label(label, endpoint, here));
            labels.len() - shared.count()
        }
        Some(LocalityBalancing::Failover(failovers)) if detects => {
            distance(endpoint, failovers, here)
        }
        None if detects => distance(endpoint, &[], here),
        _ => 0,
    }
}

/// What an endpoint's locality is worth under `distribute`; `None` where no entry is for callers from here, and
/// `Some(None)` where one is that gives this locality nothing.
pub(crate) fn shares<'a>(
    settings: &'a model::Cluster,
    here: &Surroundings,
) -> Option<&'a [(Box<str>, u32)]> {
    let Some(LocalityBalancing::Distribute(entries)) = &settings.balancing.locality else {
        return None;
    };
    let from = here.locality.as_ref()?;
    let entry = entries.iter().find(|Distribute { from: pattern, .. }| covers(pattern, from))?;
    Some(&entry.to)
}

/// Whether `region/zone/*`, `region/*`, `region` or `*` covers a locality.
pub(crate) fn covers(pattern: &str, locality: &Locality) -> bool {
    let mut wanted = pattern.split('/');
    for part in [&locality.region, &locality.zone, &locality.sub_zone] {
        match wanted.next() {
            None | Some("*") => return true,
            Some(wanted) if *wanted == **part => {}
            Some(_) => return false,
        }
    }
    true
}

fn distance(endpoint: &model::Endpoint, failovers: &[Failover], here: &Surroundings) -> usize {
    let Some(here) = &here.locality else { return 0 };
    let unknown = Locality::default();
    let there = endpoint.locality.as_deref().unwrap_or(&unknown);
    if here.region != there.region {
        // Regions that are written come before all others.
        let written = failovers.iter().find(|failover| failover.from == here.region);
        return if written.is_some_and(|failover| failover.to != there.region) { 4 } else { 3 };
    }
    if here.zone != there.zone {
        2
    } else if here.sub_zone != there.sub_zone {
        1
    } else {
        0
    }
}

/// Whether an endpoint has a label (`key`, as ours is, or `key=value`).
fn shares_label(label: &str, endpoint: &model::Endpoint, here: &Surroundings) -> bool {
    let locality = endpoint.locality.as_deref();
    let theirs = |key: &str| label_of(&endpoint.labels, locality, key);
    match label.split_once('=') {
        Some((key, value)) => theirs(key) == Some(value),
        None => {
            let ours = label_of(&here.labels, here.locality.as_ref(), label);
            ours.is_some() && ours == theirs(label)
        }
    }
}

/// A label's value; those of the topology come from the locality where they are not written.
fn label_of<'a>(
    labels: &'a [(String, String)],
    locality: Option<&'a Locality>,
    key: &str,
) -> Option<&'a str> {
    if let Some((_, value)) = labels.iter().find(|(name, _)| name == key) {
        return Some(value);
    }
    let locality = locality?;
    let value = match key {
        "topology.kubernetes.io/region" => &locality.region,
        "topology.kubernetes.io/zone" => &locality.zone,
        "topology.istio.io/subzone" => &locality.sub_zone,
        _ => return None,
    };
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;

    fn place(text: &str) -> Locality {
        let mut parts = text.split('/').map(Into::into);
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), sub_zone: next() }
    }

    fn endpoint(locality: &str, labels: &[(&str, &str)]) -> model::Endpoint {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        model::Endpoint {
            locality: Some(Arc::new(place(locality))),
            labels: labels.collect(),
            ..model::Endpoint::at(SocketAddr::from(([127, 0, 0, 1], 1)))
        }
    }

    fn levels(locality: Option<LocalityBalancing>, endpoints: &[model::Endpoint]) -> Vec<usize> {
        let mut settings = model::Cluster::for_test(&[]);
        settings.outliers = Some(model::OutlierDetection::default());
        settings.balancing.locality = locality;
        let labels = vec![("version".to_owned(), "v1".to_owned())];
        let here = Surroundings { locality: Some(place("eu/a/1")), labels };
        endpoints.iter().map(|endpoint| level_of(endpoint, &settings, &here)).collect()
    }

    #[test]
    fn the_nearer_comes_first_and_written_regions_before_others() {
        let endpoints =
            ["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "ap/a/1"].map(|each| endpoint(each, &[]));
        assert_eq!(levels(None, &endpoints), [0, 1, 2, 3, 3]);
        let failover = Failover { from: "eu".into(), to: "us".into() };
        let failover = LocalityBalancing::Failover(Arc::new([failover]));
        assert_eq!(levels(Some(failover), &endpoints), [0, 1, 2, 3, 4]);
        assert_eq!(levels(Some(LocalityBalancing::Off), &endpoints), [0; 5]);
    }

    #[test]
    fn the_more_labels_in_common_the_nearer() {
        let endpoints = [
            endpoint("eu/a/1", &[("version", "v1")]),
            endpoint("eu/b/1", &[("version", "v1")]),
            endpoint("us/a/1", &[("version", "v1")]),
            endpoint("eu/a/1", &[("version", "v2")]),
        ];
        let labels = ["version", "topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
        let priority = |labels: &[&str]| {
            LocalityBalancing::FailoverPriority(labels.iter().map(|each| (*each).into()).collect())
        };
        assert_eq!(levels(Some(priority(&labels)), &endpoints), [0, 1, 2, 3]);
        assert_eq!(levels(Some(priority(&["version=v2"])), &endpoints), [1, 1, 1, 0]);
    }

    #[test]
    fn patterns_cover_what_is_below_them() {
        for (pattern, covered) in [
            ("eu/a/1", true),
            ("eu/a/*", true),
            ("eu/a", true),
            ("eu/*", true),
            ("*", true),
            ("eu/b/*", false),
            ("us", false),
            ("eu/a/2", false),
        ] {
            assert_eq!(covers(pattern, &place("eu/a/1")), covered, "{pattern}");
        }
    }
}
