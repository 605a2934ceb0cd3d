//! The compiled routes of one socket.

use std::sync::Arc;

use portcullis_filters::MatchedPath;
use portcullis_message::HostPattern;
use portcullis_model::Rule;

use crate::RouteQuery;
use crate::aspects::Aspects;
use crate::host_index::HostIndex;
use crate::host_routes::{Entry, HostRoutes};

/// The rules of all listeners of one socket, found by host, and then as if each were tried in order.
///
/// The most specific listener host takes a request, and in it the most specific virtual host, as in Envoy:
/// where none of that host's rules match there is no route, even if a wider host has a rule that would.
#[derive(Clone, Debug)]
pub struct RouteTable {
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) hosts: HostIndex<ListenerHost>,
}

/// The rule that takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index into the listeners that the table was built from.
    pub listener: usize,
    /// Index into [`RouteTable::rules`].
    pub rule_index: usize,
    /// What of the path the rule matched; a rewrite wants to know.
    pub matched: MatchedPath,
    /// What the rules for the host look at.
    pub looks_at: Aspects,
}

/// One host of one or more listeners.
#[derive(Clone, Debug)]
pub(crate) struct ListenerHost {
    /// The first listener that has the host.
    pub(crate) listener: usize,
    pub(crate) pattern: HostPattern,
    pub(crate) virtual_hosts: HostIndex<VirtualHost>,
}

/// The rules for one host.
#[derive(Clone, Debug)]
pub(crate) struct VirtualHost {
    /// By their number in `routes`, their indexes into [`RouteTable::rules`].
    pub(crate) numbers: Arc<[u32]>,
    /// Shared by the tables of all generations in which they are the same.
    pub(crate) routes: Arc<HostRoutes>,
}

impl RouteTable {
    /// The rule that takes a request.
    pub fn find_route(&self, query: &RouteQuery) -> Option<Route> {
        let listener_host = self.hosts.find(query.host)?;
        let virtual_host = listener_host.virtual_hosts.find(query.host)?;
        let (entry, matched) = virtual_host.routes.find(query)?;
        let rule_index = virtual_host.rule_index(entry)?;
        let looks_at = virtual_host.routes.looks_at;
        Some(Route { listener: listener_host.listener, rule_index, matched, looks_at })
    }

    /// The listener that takes a host in normal form: index into the listeners that the table was built
    /// from, the first of those with the same host.
    pub fn find_listener(&self, host: &str) -> Option<usize> {
        self.hosts.find(host).map(|listener_host| listener_host.listener)
    }

    /// Every rule of the socket once, in the order written; `Route::rule_index` indexes it.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}

impl VirtualHost {
    /// Where an entry's rule stands among those of the table.
    pub(crate) fn rule_index(&self, entry: Entry) -> Option<usize> {
        self.numbers.get(entry.rule as usize).map(|&number| number as usize)
    }
}
