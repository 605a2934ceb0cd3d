//! Where a rule sends a request and what it changes on the way there.

use http::HeaderValue;
use portcullis_exchange::RequestHead;
use portcullis_filters::{HeaderOperations, MatchedPath};
use portcullis_message::{HeadRules, PathError};
use portcullis_model::HeaderOrder;
use portcullis_upstream::Cluster;

use crate::explanation::{
    ExplainedCluster, ExplainedEndpoint, Explanation, HeaderChange, UpstreamRequest,
};
use crate::{CompiledDestination, CompiledRule};

/// The status of a request whose cluster does not exist or has nobody to serve it.
const UNAVAILABLE: u16 = 503;

/// Fills in clusters, status and what the upstream gets of a request with this head.
///
/// # Errors
/// The rewritten path has no canonical form.
pub(crate) fn explain_forward(
    rule: &CompiledRule,
    (matched, rules): (MatchedPath, HeadRules),
    head: &RequestHead,
    explanation: &mut Explanation,
) -> Result<(), PathError> {
    explanation.outcome = "forward";
    explanation.clusters = rule.destinations.iter().map(explain_destination).collect();
    let has_share = |cluster: &&ExplainedCluster| cluster.weight > 0;
    let first_failure = explanation.clusters.iter().find(has_share).and_then(|first| first.status);
    let served = explanation.clusters.iter().filter(has_share).any(|each| each.status.is_none());
    explanation.status = if served { None } else { first_failure.or(Some(UNAVAILABLE)) };
    let first = rule.destinations.iter().find(|each| each.settings.weight > 0);
    if let Some(destination) = first.or(rule.destinations.first()) {
        let mut head = head.clone();
        rule.prepare_head(destination, &mut head, matched, rules)?;
        explanation.upstream_request = Some(upstream_request(&head));
    }
    Ok(())
}

fn explain_destination(destination: &CompiledDestination) -> ExplainedCluster {
    let endpoints = destination.cluster.as_deref().map(endpoints).unwrap_or_default();
    let missing = destination.settings.change.as_ref().and_then(|change| change.missing);
    let status = match destination.cluster {
        None => Some(missing.map_or(UNAVAILABLE, |status| status.as_u16())),
        Some(_) if endpoints.iter().any(ExplainedEndpoint::serves) => None,
        Some(_) => Some(UNAVAILABLE),
    };
    ExplainedCluster {
        name: destination.label.to_string(),
        weight: destination.settings.weight,
        status,
        endpoints,
    }
}

/// The endpoints of a cluster, and why those that take no requests take none.
pub(crate) fn endpoints(cluster: &Cluster) -> Vec<ExplainedEndpoint> {
    let known = cluster.report().into_iter().map(|report| ExplainedEndpoint {
        address: report.member.endpoint.address().to_string(),
        state: report.role.word().to_owned(),
        reason: report.role.reason(),
    });
    let names = cluster.settings().endpoints.iter().map(|endpoint| &endpoint.address);
    let names = names.filter(|address| address.socket().is_none());
    let names = names.map(|name| ExplainedEndpoint {
        address: name.to_string(),
        state: "dns".to_owned(),
        reason: None,
    });
    known.chain(names).collect()
}

fn upstream_request(head: &RequestHead) -> UpstreamRequest {
    UpstreamRequest {
        method: head.method.to_string(),
        authority: text(&head.authority),
        path: head.path.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
    }
}

/// What rule and destinations do to header fields, in order, each said by whom it is.
pub(crate) fn header_changes(rule: &CompiledRule) -> Vec<HeaderChange> {
    let (settings, order) = (&rule.rule, rule.rule.header_order);
    let own = (&*settings.id, &settings.request_headers);
    let its = rule.destinations.iter().map(|each| (&*each.label, &each.settings.request_headers));
    let mut requests: Vec<_> = std::iter::once(own).chain(its).collect();
    if order == HeaderOrder::DestinationFirst {
        requests.rotate_left(1);
    }
    let own = (&*settings.id, &settings.response_headers);
    let its = rule.destinations.iter().map(|each| (&*each.label, &each.settings.response_headers));
    let mut replies: Vec<_> = std::iter::once(own).chain(its).collect();
    if order != HeaderOrder::OneList {
        replies.rotate_left(1);
    }
    let mut changes = Vec::new();
    requests.iter().for_each(|(by, operations)| push(&mut changes, "request", by, operations));
    replies.iter().for_each(|(by, operations)| push(&mut changes, "response", by, operations));
    changes
}

fn push(
    changes: &mut Vec<HeaderChange>,
    head: &'static str,
    by: &str,
    operations: &HeaderOperations,
) {
    let change = |operation, name: &http::HeaderName, value: Option<&HeaderValue>| HeaderChange {
        head,
        by: by.to_owned(),
        operation,
        name: name.to_string(),
        value: value.map(text),
    };
    changes.extend(operations.remove.iter().map(|name| change("remove", name, None)));
    changes.extend(operations.set.iter().map(|(name, value)| change("set", name, Some(value))));
    changes.extend(operations.add.iter().map(|(name, value)| change("add", name, Some(value))));
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
