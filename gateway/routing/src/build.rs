//! Compiling listeners to a route table.

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_message::HostPattern;
use portcullis_model as model;
use portcullis_model::{Listener, Rule};
use rustc_hash::FxBuildHasher;

use crate::host_index::HostIndex;
use crate::table::{Aspects, ListenerHost, RouteTable, VirtualHost};

impl RouteTable {
    /// Compiles the routes of all listeners of one socket. Where several listeners have the same host,
    /// their routes form one table by route host: the rules in the order of the listeners, from the first
    /// catch-all of each on behind those of the others.
    pub fn build(listeners: &[Arc<Listener>]) -> RouteTable {
        let rules = RuleNumbers::collect(listeners);
        let mut hosts = collect_hosts(listeners);
        for (index, listener) in listeners.iter().enumerate() {
            for virtual_host in &listener.virtual_hosts {
                attach(&mut hosts, index, virtual_host);
            }
        }
        let hosts = hosts.map(|host| ListenerHost {
            listener: host.listeners.first().copied().unwrap_or_default(),
            pattern: host.pattern,
            virtual_hosts: host.virtual_hosts.map(|parts| merge(&parts, &rules)),
        });
        RouteTable { rules: rules.in_order, hosts }
    }
}

/// One listener host while it is put together.
struct HostParts<'a> {
    pattern: HostPattern,
    /// Those that have it, nearly always one.
    listeners: Vec<usize>,
    virtual_hosts: HostIndex<Vec<&'a model::VirtualHost>>,
}

fn collect_hosts<'a>(listeners: &[Arc<Listener>]) -> HostIndex<HostParts<'a>> {
    let mut hosts = HostIndex::default();
    for (index, listener) in listeners.iter().enumerate() {
        for pattern in &listener.hosts {
            let parts: &mut HostParts<'a> = hosts.entry(pattern, || HostParts {
                pattern: pattern.clone(),
                listeners: Vec::new(),
                virtual_hosts: HostIndex::default(),
            });
            if !parts.listeners.contains(&index) {
                parts.listeners.push(index);
            }
        }
    }
    hosts
}

/// Puts a virtual host under the narrowest listener host that holds all of it. If that one belongs to
/// another listener alone, it takes every request that the virtual host could get.
fn attach<'a>(
    hosts: &mut HostIndex<HostParts<'a>>,
    listener: usize,
    virtual_host: &'a model::VirtualHost,
) {
    if let Some(parts) = hosts.find_containing_mut(&virtual_host.host)
        && parts.listeners.contains(&listener)
    {
        parts.virtual_hosts.entry(&virtual_host.host, Vec::new).push(virtual_host);
    }
}

/// The rules of virtual hosts with the same host as one list. What follows a catch-all is never reached in
/// its own part, so it must not become reachable here: it moves behind all others together with it.
fn merge(parts: &[&model::VirtualHost], rules: &RuleNumbers) -> VirtualHost {
    let mut order = Vec::with_capacity(parts.iter().map(|part| part.rules.len()).sum());
    let mut last = Vec::new();
    for part in parts {
        let catch_all = part.rules.iter().position(|rule| rule.is_catch_all());
        let (reached, rest) = part.rules.split_at(catch_all.unwrap_or(part.rules.len()));
        order.extend(reached.iter().filter_map(|rule| rules.number(rule)));
        last.extend(rest.iter().filter_map(|rule| rules.number(rule)));
    }
    order.append(&mut last);
    if parts.len() > 1 {
        drop_repeated(&mut order);
    }
    let pattern = parts.first().map_or(HostPattern::Any, |part| part.host.clone());
    let looks_at = looks_at(parts.iter().flat_map(|part| &part.rules));
    VirtualHost { pattern, rules: order.into(), looks_at }
}

/// A route that is bound to two of the listeners comes twice; only its first place can win.
fn drop_repeated(order: &mut Vec<u32>) {
    let mut seen = hashbrown::HashSet::with_hasher(FxBuildHasher);
    order.retain(|&rule| seen.insert(rule));
}

fn looks_at<'a>(rules: impl Iterator<Item = &'a Arc<Rule>>) -> Aspects {
    let mut aspects = Aspects::default();
    for conditions in rules.flat_map(|rule| &rule.matches) {
        aspects.method |= conditions.method.is_some();
        aspects.authority |= conditions.authority.is_some();
        aspects.headers |= !conditions.headers.is_empty();
    }
    aspects
}

/// The distinct rules by their place in memory: a rule under many hosts is compiled once.
#[derive(Default)]
struct RuleNumbers {
    in_order: Vec<Arc<Rule>>,
    numbers: HashMap<*const Rule, u32, FxBuildHasher>,
}

impl RuleNumbers {
    fn collect(listeners: &[Arc<Listener>]) -> Self {
        let mut collected = RuleNumbers::default();
        let virtual_hosts = listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        for rule in virtual_hosts.flat_map(|virtual_host| &virtual_host.rules) {
            let Ok(next) = u32::try_from(collected.in_order.len()) else { break };
            collected.numbers.entry(Arc::as_ptr(rule)).or_insert_with(|| {
                collected.in_order.push(Arc::clone(rule));
                next
            });
        }
        collected
    }

    fn number(&self, rule: &Arc<Rule>) -> Option<u32> {
        self.numbers.get(&Arc::as_ptr(rule)).copied()
    }
}
