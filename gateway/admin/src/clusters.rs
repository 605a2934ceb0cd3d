//! `/clusters`: every cluster with its endpoints, what each of them does and why, and how its limits stand.

use std::sync::Arc;

use portcullis_telemetry::ClusterSample;
use portcullis_upstream::{Cluster, EndpointReport, EndpointState, LimitReport, Offence};
use serde_json::{Value, json};

use crate::state::AdminState;

pub(crate) fn clusters(state: &AdminState) -> Value {
    let snapshot = state.published.current();
    let clusters = snapshot.clusters.values().map(|cluster| cluster_json(cluster));
    json!({ "clusters": clusters.collect::<Vec<_>>() })
}

fn cluster_json(cluster: &Cluster) -> Value {
    let endpoints: Vec<_> = cluster.report().iter().map(endpoint_json).collect();
    let limits: Vec<_> = cluster.limits().map(limit_json).collect();
    json!({ "name": &*cluster.label, "endpoints": endpoints, "limits": limits })
}

/// What is shown of them as metrics.
pub(crate) fn cluster_samples(state: &AdminState) -> Vec<ClusterSample> {
    let snapshot = state.published.current();
    let sample = |cluster: &Arc<Cluster>| {
        let endpoints = cluster.endpoints();
        let healthy = endpoints.iter().filter(|each| each.state() == EndpointState::Healthy);
        let ejections = Offence::ALL.map(|offence| (offence.word(), cluster.ejections(offence)));
        let limits = cluster.limits();
        ClusterSample {
            name: cluster.label.clone(),
            healthy: healthy.count(),
            endpoints: endpoints.len(),
            ejections: ejections.into(),
            limits: limits.map(|each| (each.breaker.word(), each.now, each.overflows)).collect(),
        }
    };
    snapshot.clusters.values().map(sample).collect()
}

fn endpoint_json(report: &EndpointReport) -> Value {
    let (endpoint, written) = (&report.member.endpoint, &report.member.resolved.written);
    let (good, bad) = endpoint.totals();
    let mut entry = json!({
        "address": endpoint.address().to_string(),
        "state": report.role.word(),
        "weight": written.weight,
        "active_requests": endpoint.active(),
        "connections": endpoint.connections(),
        "succeeded": good,
        "failed": bad,
    });
    if let Some(entry) = entry.as_object_mut() {
        if let Some(reason) = report.role.reason() {
            entry.insert("reason".to_owned(), json!(reason));
        }
        if let Some(locality) = &written.locality {
            entry.insert("locality".to_owned(), json!(locality.to_string()));
        }
        if written.address.socket().is_none() {
            entry.insert("name".to_owned(), json!(written.address.to_string()));
        }
    }
    entry
}

fn limit_json(limit: LimitReport) -> Value {
    json!({
        "limit": limit.breaker.word(),
        "most": limit.limit,
        "now": limit.now,
        "refused": limit.overflows,
    })
}
