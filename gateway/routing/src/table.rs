//! The compiled routes of one socket.

use std::sync::Arc;

use portcullis_filters::MatchedPath;
use portcullis_message::HostPattern;
use portcullis_model::Rule;

use crate::RouteQuery;
use crate::host_index::HostIndex;
use crate::matching::match_rule;

/// The rules of all listeners of one socket, found by host and then tried in order.
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
}

/// What the rules of a virtual host look at beside the path: a route chosen once stays right as long as
/// nothing of this changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// The method.
    pub method: bool,
    /// The authority, apart from its choosing the virtual host.
    pub authority: bool,
    /// Header fields.
    pub headers: bool,
}

/// One host of one or more listeners.
#[derive(Clone, Debug)]
pub(crate) struct ListenerHost {
    /// The first listener that has the host.
    pub(crate) listener: usize,
    pub(crate) pattern: HostPattern,
    pub(crate) virtual_hosts: HostIndex<VirtualHost>,
}

/// The rules for one host, in the order in which they are tried.
#[derive(Clone, Debug)]
pub(crate) struct VirtualHost {
    pub(crate) pattern: HostPattern,
    pub(crate) rules: Box<[u32]>,
    pub(crate) looks_at: Aspects,
}

impl RouteTable {
    /// The rule that takes a request.
    pub fn find_route(&self, query: &RouteQuery) -> Option<Route> {
        let listener_host = self.hosts.find(query.host)?;
        let virtual_host = listener_host.virtual_hosts.find(query.host)?;
        virtual_host.rules.iter().find_map(|&rule_index| {
            let rule_index = rule_index as usize;
            let matched = match_rule(self.rules.get(rule_index)?, query)?;
            Some(Route { listener: listener_host.listener, rule_index, matched })
        })
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

    /// What the rules for a host look at beside the path; nothing where no virtual host takes it.
    pub fn looks_at(&self, host: &str) -> Aspects {
        self.hosts
            .find(host)
            .and_then(|listener_host| listener_host.virtual_hosts.find(host))
            .map_or_else(Aspects::default, |virtual_host| virtual_host.looks_at)
    }
}
