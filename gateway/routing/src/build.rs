//! Compiling listeners to a route table.

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_message::HostPattern;
use portcullis_model::{Listener, Rule};
use rustc_hash::FxBuildHasher;

use crate::host_index::HostIndex;
use crate::host_routes::HostRoutes;
use crate::order::{Order, Part};
use crate::table::{Frame, ListenerHost, Numbered, RouteTable, VirtualHost};
use crate::twins::find_twins;
use crate::workforce::map_at_once;

/// Fewer virtual hosts are compiled by one thread.
const FEW_HOSTS: usize = 1000;

impl RouteTable {
    /// Compiles the routes of all listeners of one socket. Where several listeners have the same host,
    /// their routes form one table by route host: the rules in the order of the listeners, from the first
    /// catch-all of each on behind those of the others.
    pub fn build(listeners: &[Arc<Listener>]) -> RouteTable {
        RouteTable::build_with(listeners, None)
    }

    /// The same. Where only some virtual hosts are others than those of the previous table, the rest of it is shared.
    /// Else what is compiled of virtual hosts whose rules are those of the previous table (the same in memory, in the
    /// same order) is taken from there.
    ///
    /// Blocks until all is compiled, by as many threads as there are cores where there is much.
    pub fn build_with(listeners: &[Arc<Listener>], previous: Option<&RouteTable>) -> RouteTable {
        if let Some(renewed) = previous.and_then(|table| table.renewed(listeners)) {
            return renewed;
        }
        let mut rules = RuleNumbers::collect(listeners);
        let mut hosts = collect_hosts(listeners);
        for (index, listener) in listeners.iter().enumerate() {
            for virtual_host in &listener.virtual_hosts {
                attach(&mut hosts, index, Part { listener, virtual_host });
            }
        }
        let (hosts, jobs) = into_jobs(hosts, previous);
        let compiled = compile(&jobs, &rules);
        let mut compiled: Vec<_> = compiled.into_iter().map(Some).collect();
        let mut take = |job: usize| {
            let virtual_host = compiled.get_mut(job).and_then(Option::take)?;
            rules.count(&virtual_host);
            Some(virtual_host)
        };
        let hosts = hosts.map(|host| ListenerHost {
            listener: host.listener,
            listeners: host.listeners,
            pattern: host.pattern,
            virtual_hosts: host.virtual_hosts.filter_map(&mut take),
        });
        let frames = listeners.iter().map(|listener| Frame::of(listener)).collect();
        RouteTable { rules: rules.in_order.into_iter().collect(), hosts, frames }
    }
}

/// One listener host while it is put together.
#[derive(Clone)]
struct HostParts<V> {
    pattern: HostPattern,
    /// The first that has it.
    listener: usize,
    /// All that have it, nearly always one.
    listeners: Vec<usize>,
    virtual_hosts: HostIndex<V>,
}

fn collect_hosts<'m>(listeners: &[Arc<Listener>]) -> HostIndex<HostParts<Vec<Part<'m>>>> {
    let mut hosts = HostIndex::default();
    for (index, listener) in listeners.iter().enumerate() {
        for pattern in &listener.hosts {
            let parts = hosts.entry(pattern, || HostParts {
                pattern: pattern.clone(),
                listener: index,
                listeners: Vec::new(),
                virtual_hosts: HostIndex::default(),
            });
            if let Some(parts) = parts.filter(|parts| !parts.listeners.contains(&index)) {
                parts.listeners.push(index);
            }
        }
    }
    hosts
}

/// Puts a virtual host under the narrowest listener host that holds all of it. If that one belongs to
/// another listener alone, it takes every request that the virtual host could get.
fn attach<'m>(hosts: &mut HostIndex<HostParts<Vec<Part<'m>>>>, listener: usize, part: Part<'m>) {
    let host = &part.virtual_host.host;
    if let Some(parts) = hosts.find_containing_mut(host)
        && parts.listeners.contains(&listener)
    {
        parts.virtual_hosts.entry(host, Vec::new).into_iter().for_each(|all| all.push(part));
    }
}

/// A virtual host that is to be compiled.
struct Job<'m> {
    parts: Vec<Part<'m>>,
    /// What was compiled of it before.
    previous: Option<&'m VirtualHost>,
}

/// The virtual hosts in a row, and the index with their places there.
fn into_jobs<'m>(
    hosts: HostIndex<HostParts<Vec<Part<'m>>>>,
    previous: Option<&'m RouteTable>,
) -> (HostIndex<HostParts<usize>>, Vec<Job<'m>>) {
    let mut jobs = Vec::new();
    let hosts = hosts.map(|host| {
        let before = previous.and_then(|table| table.hosts.get(&host.pattern));
        let virtual_hosts = host.virtual_hosts.map(|parts: Vec<Part<'m>>| {
            let pattern = parts.first().map(|part| &part.virtual_host.host);
            let previous =
                before.zip(pattern).and_then(|(host, pattern)| host.virtual_hosts.get(pattern));
            jobs.push(Job { parts, previous });
            jobs.len() - 1
        });
        let HostParts { pattern, listener, listeners, .. } = host;
        HostParts { pattern, listener, listeners, virtual_hosts }
    });
    (hosts, jobs)
}

/// Compiles each, but one alone of those with the same rules.
fn compile(jobs: &[Job<'_>], rules: &RuleNumbers) -> Vec<VirtualHost> {
    let twins = find_twins(jobs.iter().map(|job| &job.parts[..]));
    let own: Vec<(usize, &Job<'_>)> =
        jobs.iter().enumerate().filter(|(place, _)| twins.get(*place) == Some(place)).collect();
    let made = map_at_once(&own, FEW_HOSTS, |(_, job)| job.compile(rules));
    if own.len() == jobs.len() {
        return made;
    }
    let places = own.iter().map(|(place, _)| *place);
    let made: HashMap<usize, VirtualHost, FxBuildHasher> = places.zip(made).collect();
    let of = |(job, twin): (&Job<'_>, usize)| {
        made.get(&twin).cloned().unwrap_or_else(|| job.compile(rules))
    };
    jobs.iter().zip(twins).map(of).collect()
}

impl Job<'_> {
    fn compile(&self, rules: &RuleNumbers) -> VirtualHost {
        let order = Order::of(&self.parts);
        let number = |rule| rules.number(rule).unwrap_or(u32::MAX);
        let numbers = order.rules.iter().map(number).collect();
        let before = self.previous.map(|host| &host.routes);
        let routes = match before.filter(|routes| order.is_that_of(routes)) {
            Some(routes) => Arc::clone(routes),
            None => Arc::new(HostRoutes::compile(order.rules, order.entries)),
        };
        VirtualHost { numbers, routes }
    }
}

/// The distinct rules by their place in memory: a rule under many hosts is compiled once.
#[derive(Default)]
struct RuleNumbers {
    in_order: Vec<Numbered>,
    /// By their addresses.
    numbers: HashMap<usize, u32, FxBuildHasher>,
}

impl RuleNumbers {
    fn collect(listeners: &[Arc<Listener>]) -> Self {
        let mut collected = RuleNumbers::default();
        let virtual_hosts = listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        for rule in virtual_hosts.flat_map(|virtual_host| &virtual_host.rules) {
            let Ok(next) = u32::try_from(collected.in_order.len()) else { break };
            collected.numbers.entry(Arc::as_ptr(rule).addr()).or_insert_with(|| {
                collected.in_order.push(Numbered { rule: Arc::clone(rule), hosts: 0 });
                next
            });
        }
        collected
    }

    fn count(&mut self, virtual_host: &VirtualHost) {
        for &number in virtual_host.numbers.iter() {
            if let Some(numbered) = self.in_order.get_mut(number as usize) {
                numbered.hosts += 1;
            }
        }
    }

    fn number(&self, rule: &Arc<Rule>) -> Option<u32> {
        self.numbers.get(&Arc::as_ptr(rule).addr()).copied()
    }
}
