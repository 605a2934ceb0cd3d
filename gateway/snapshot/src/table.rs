//! What is served on one socket: its routes with everything that a chosen rule needs at hand.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use portcullis_filters::{Bucket, Redirect};
use portcullis_message::HeadRules;
use portcullis_model::{
    Action, ByHost, ConnectionPolicy, Destination, Listener, ListenerProtocol, Mirror, Rule,
};
use portcullis_routing::{RouteTable, Slots};
use portcullis_telemetry::{RequestTarget, TargetLabels};
use portcullis_upstream::Cluster;

use crate::chain::{Chain, Chains};
use crate::known_rules::{KnownRules, RuleCompiler};
use crate::parts::Parts;
use crate::{ListenerPolicy, TcpTable, TlsTable};

/// The listeners that share one socket, compiled.
pub struct SocketTable {
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
    /// What is asked of its connections.
    pub connections: Arc<ConnectionPolicy>,
    /// By which rules all its requests' heads are read; `None` where listeners differ.
    pub(crate) common_head_rules: Option<HeadRules>,
    /// Which rule takes a request.
    pub routes: RouteTable,
    /// Where connections go whose bytes are passed on; `None` where all listeners speak HTTP.
    pub tcp: Option<TcpTable>,
    /// By the index that `routes` gives.
    pub listeners: Vec<CompiledListener>,
    /// By the index that `routes` gives.
    pub rules: Slots<Arc<CompiledRule>>,
    /// Those that have plugins of their own.
    pub(crate) plugged: Vec<usize>,
    /// How TLS is spoken, by server name.
    pub tls: TlsTable,
}

/// One listener, as a request needs it.
pub struct CompiledListener {
    /// What it was compiled from, without its virtual hosts.
    pub settings: Arc<Listener>,
    /// What it has to do with TLS.
    pub tls: ListenerPolicy,
    /// The plugins that run on its requests, apart from those of their rule.
    pub chain: Chain,
    /// What limits its requests whose rule has no limit of its own.
    pub bucket: Option<Arc<Bucket>>,
    /// Which of the socket's listener chains it is.
    chain_number: usize,
}

/// One rule with its clusters resolved.
pub struct CompiledRule {
    /// What it was compiled from.
    pub rule: Arc<Rule>,
    /// Its id as `x-portcullis-route` shows it.
    pub route_value: HeaderValue,
    /// The authority that it gives to requests; few rules do.
    pub(crate) authority: Option<Box<HeaderValue>>,
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
    chains: Vec<Chain>,
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
    /// The same as `x-portcullis-cluster` shows it.
    pub label_value: HeaderValue,
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

impl SocketTable {
    /// Compiles the listeners of one socket, which was `previous` before.
    pub(crate) fn build(
        mut all: Vec<Arc<Listener>>,
        parts: &Parts<'_>,
        previous: Option<&SocketTable>,
        known: &mut KnownRules<'_>,
    ) -> Self {
        let listeners = &*all;
        let tls = TlsTable::build(listeners, previous.map(|table| &table.tls));
        let routes = RouteTable::build_with(listeners, previous.map(|table| &table.routes));
        let port = listeners.first().map_or(0, |listener| listener.port);
        let chains = ListenerChains::build(
            listeners,
            Chains { plugins: parts.plugins, authentications: parts.authentications, port },
        );
        let compiler = RuleCompiler { routes: &routes, chains: &chains, parts };
        let (rules, plugged) = compiler.compile(previous, known);
        let protocol =
            listeners.first().map_or(ListenerProtocol::Http, |listener| listener.protocol);
        let connections =
            listeners.first().map_or_else(Arc::default, |listener| listener.connections.clone());
        let common_head_rules = common_head_rules(listeners);
        let tcp = TcpTable::build(listeners, chains.parts, parts);
        all.iter_mut().for_each(forget_routes);
        SocketTable {
            protocol,
            connections,
            common_head_rules,
            routes,
            rules,
            plugged,
            listeners: all
                .iter()
                .enumerate()
                .map(|(index, listener)| CompiledListener {
                    settings: listener.clone(),
                    tls: tls.of_listener(index),
                    chain: chains.of(index),
                    bucket: parts.buckets.of(&listener.filters),
                    chain_number: chains.numbers.get(index).copied().unwrap_or_default(),
                })
                .collect(),
            tcp,
            tls,
        }
    }
}

impl SocketTable {
    /// The plugins that run on the requests of a listener that go to a rule.
    pub fn chain<'t>(
        &'t self,
        listener: &'t CompiledListener,
        rule: Option<&'t CompiledRule>,
    ) -> &'t Chain {
        let own = rule.and_then(|rule| rule.chains.get(listener.chain_number));
        own.unwrap_or(&listener.chain)
    }
}

/// The model has them, and the table what was compiled from them.
fn forget_routes(listener: &mut Arc<Listener>) {
    if let Some(listener) = Arc::get_mut(listener) {
        listener.virtual_hosts = ByHost::default();
    }
}

/// The chains of a socket's listeners, each of which most of them share.
pub(crate) struct ListenerChains<'c> {
    parts: Chains<'c>,
    /// By listener, which of the distinct ones it has.
    numbers: Vec<usize>,
    distinct: Vec<Chain>,
}

impl<'c> ListenerChains<'c> {
    fn build(listeners: &[Arc<Listener>], parts: Chains<'c>) -> Self {
        let mut seen: Vec<&Listener> = Vec::new();
        let (mut numbers, mut distinct) = (Vec::new(), Vec::new());
        for listener in listeners {
            let number = seen.iter().position(|seen| have_same_filters(seen, listener));
            numbers.push(number.unwrap_or(seen.len()));
            if number.is_none() {
                seen.push(listener);
                distinct.push(parts.of_requests(listener));
            }
        }
        ListenerChains { parts, numbers, distinct }
    }

    fn of(&self, listener: usize) -> Chain {
        let number = self.numbers.get(listener).copied().unwrap_or_default();
        self.distinct.get(number).cloned().unwrap_or_default()
    }

    /// A rule's own, by the number of the listener's.
    fn with_rule(&self, rule: &Rule) -> Vec<Chain> {
        if rule.plugins.is_empty() {
            return Vec::new();
        }
        self.distinct.iter().map(|chain| self.parts.with_rule(chain, rule)).collect()
    }
}

/// Whether the same runs on the requests of both.
fn have_same_filters(one: &Listener, other: &Listener) -> bool {
    one.plugins == other.plugins
        && is_same(one.authentication.as_ref(), other.authentication.as_ref())
        && is_same(one.authorization.as_ref(), other.authorization.as_ref())
}

fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// The rules of all listeners of a socket, where they agree.
fn common_head_rules(listeners: &[Arc<Listener>]) -> Option<HeadRules> {
    let mut rules = listeners.iter().map(|listener| listener.requests.head);
    let first = rules.next().unwrap_or_default();
    rules.all(|other| other == first).then_some(first)
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
        let destinations: Vec<_> = match &rule.action {
            Action::Forward { destinations, .. } => destinations
                .iter()
                .map(|destination| CompiledDestination::build(rule, destination, parts))
                .collect(),
            Action::Redirect(_) | Action::DirectResponse(_) => Vec::new(),
        };
        CompiledRule {
            route_value: header_value(&rule.id),
            authority: authority(&rule.action),
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
            label_value: header_value(&label),
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

/// A name as a header value; names come from Kubernetes and are ASCII, anything else shows as `?`.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}
