//! A rule as a request needs it, with its clusters resolved.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use portcullis_filters::{Bucket, Redirect};
use portcullis_model::{Action, Destination, Mirror, Rule};
use portcullis_telemetry::{RequestTarget, TargetLabels};
use portcullis_upstream::Cluster;

use crate::chain::Chain;
use crate::header_order::{OneList, one_list};
use crate::listener_chains::{ListenerChains, is_same};
use crate::parts::Parts;

/// One rule with its clusters resolved.
pub struct CompiledRule {
    /// What it was compiled from.
    pub rule: Arc<Rule>,
    /// The authority that it gives to requests; few rules do.
    pub(crate) authority: Option<Box<HeaderValue>>,
    /// Its header operations and its destination's, where they are one list.
    pub(crate) one_list: Option<Box<OneList>>,
    /// Where it forwards to; empty for a redirect or direct response.
    pub destinations: Vec<CompiledDestination>,
    /// Where copies of its requests go; those whose service is missing are left out.
    pub mirrors: Vec<CompiledMirror>,
    /// The sum of the destinations' weights.
    pub total_weight: u64,
    /// What limits its requests.
    pub bucket: Option<Arc<Bucket>>,
    /// Labels for requests that end at the rule itself.
    pub target: Arc<RequestTarget>,
    /// The chains of its requests, by the number of their listener's; empty where it has no plugins of its own.
    pub(crate) chains: Vec<Chain>,
}

/// One destination with its cluster resolved.
pub struct CompiledDestination {
    /// What it was compiled from.
    pub settings: Destination,
    /// The authority that it gives to requests, in the place of its rule's.
    pub(crate) authority: Option<Box<HeaderValue>>,
    /// The cluster; `None` where no such service exists, which is [`CompiledDestination::missing_status`].
    pub cluster: Option<Arc<Cluster>>,
    /// The cluster's name, existing or not.
    pub label: Arc<str>,
    /// Labels for requests that go there.
    pub target: Arc<RequestTarget>,
}

/// One mirror with its cluster resolved.
pub struct CompiledMirror {
    /// Where to.
    pub cluster: Arc<Cluster>,
    /// Of so many requests in a million.
    pub parts_per_million: u32,
}

impl CompiledRule {
    /// Whether compiling its rule anew would give the same. One with plugins is compiled anew.
    pub(crate) fn is_still_right(&self, parts: &Parts<'_>) -> bool {
        let same_cluster = |known: &CompiledDestination| {
            is_same(known.cluster.as_ref(), parts.clusters.get(&known.settings.cluster))
        };
        let mirrors = self.rule.mirrors.iter();
        let mirrors = mirrors.filter_map(|mirror| parts.clusters.get(&mirror.cluster));
        self.rule.plugins.is_empty()
            && self.destinations.iter().all(same_cluster)
            && self
                .mirrors
                .iter()
                .map(|known| Arc::as_ptr(&known.cluster))
                .eq(mirrors.map(Arc::as_ptr))
            && is_same(self.bucket.as_ref(), parts.buckets.of(&self.rule.filters).as_ref())
    }

    pub(crate) fn build(rule: &Arc<Rule>, chains: &ListenerChains<'_>, parts: &Parts<'_>) -> Self {
        let written = match &rule.action {
            Action::Forward { destinations, .. } => destinations.as_slice(),
            Action::Redirect(_) | Action::DirectResponse(_) => &[],
        };
        let build = |destination| CompiledDestination::build(rule, destination, parts);
        let destinations: Vec<_> = written.iter().map(build).collect();
        CompiledRule {
            authority: authority(&rule.action),
            one_list: one_list(rule, written),
            total_weight: destinations.iter().map(|d| u64::from(d.settings.weight)).sum(),
            destinations,
            mirrors: rule
                .mirrors
                .iter()
                .filter_map(|each| CompiledMirror::build(each, parts))
                .collect(),
            target: parts
                .registry
                .target(TargetLabels { route: rule.id.clone(), ..TargetLabels::unknown() }),
            chains: chains.with_rule(rule),
            bucket: parts.buckets.of(&rule.filters),
            rule: rule.clone(),
        }
    }

    /// The destination for a number drawn from `0..total_weight`.
    pub fn destination(&self, draw: u64) -> Option<(usize, &CompiledDestination)> {
        let mut left = draw;
        for (index, destination) in self.destinations.iter().enumerate() {
            match left.checked_sub(u64::from(destination.settings.weight)) {
                Some(rest) => left = rest,
                None => return Some((index, destination)),
            }
        }
        None
    }
}

impl CompiledMirror {
    fn build(mirror: &Mirror, parts: &Parts<'_>) -> Option<Self> {
        let cluster = parts.clusters.get(&mirror.cluster)?.clone();
        Some(CompiledMirror { cluster, parts_per_million: mirror.parts_per_million })
    }
}

impl CompiledDestination {
    fn build(rule: &Rule, destination: &Destination, parts: &Parts<'_>) -> Self {
        let cluster = parts.clusters.get(&destination.cluster).cloned();
        let label: Arc<str> = match &cluster {
            Some(cluster) => cluster.label.clone(),
            None => destination.cluster.to_string().into(),
        };
        let settings = cluster.as_ref().map(|cluster| cluster.settings().clone());
        let target = parts.registry.target(TargetLabels {
            route: rule.id.clone(),
            cluster: label.clone(),
            service_host: destination.cluster.host.clone(),
            service: settings.as_ref().map_or_else(|| "unknown".into(), |s| s.service.clone()),
            namespace: settings.as_ref().map_or_else(|| "unknown".into(), |s| s.namespace.clone()),
        });
        let change = destination.change.as_deref();
        let authority = change.and_then(|change| change.authority_rewrite.as_deref());
        CompiledDestination {
            authority: authority.and_then(boxed_value),
            settings: destination.clone(),
            cluster,
            label,
            target,
        }
    }
}

impl CompiledDestination {
    /// What a request gets where the cluster does not exist.
    pub fn missing_status(&self) -> StatusCode {
        let change = self.settings.change.as_deref();
        change.and_then(|change| change.missing).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Where it sends clients instead of sending their requests on.
    pub fn redirect(&self) -> Option<&Redirect> {
        self.settings.change.as_deref()?.redirect.as_ref()
    }
}

fn authority(action: &Action) -> Option<Box<HeaderValue>> {
    let Action::Forward { authority_rewrite, .. } = action else { return None };
    authority_rewrite.as_deref().and_then(boxed_value)
}

fn boxed_value(text: &str) -> Option<Box<HeaderValue>> {
    HeaderValue::from_str(text).ok().map(Box::new)
}
