//! The compiled routes of one socket.

use std::sync::Arc;

use portcullis_filters::MatchedPath;
use portcullis_message::HostPattern;
use portcullis_model::{ByHost, Listener, Rule};

use crate::RouteQuery;
use crate::aspects::Aspects;
use crate::host_index::HostIndex;
use crate::host_routes::{Entry, HostRoutes};
use crate::slots::Slots;

/// The rules of all listeners of one socket, found by host, and then as if each were tried in order.
///
/// The most specific listener host takes a request, and in it the most specific virtual host, as in Envoy:
/// where none of that host's rules match there is no route, even if a wider host has a rule that would.
#[derive(Clone, Debug)]
pub struct RouteTable {
    pub(crate) rules: Slots<Numbered>,
    pub(crate) hosts: HostIndex<ListenerHost>,
    /// What it was built from.
    pub(crate) frames: Vec<Frame>,
}

/// A rule under its number.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    pub(crate) rule: Arc<Rule>,
    /// How many virtual hosts have it.
    pub(crate) hosts: u32,
}

/// What of a listener the table depends on.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) gateway: Arc<str>,
    pub(crate) port: u16,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) virtual_hosts: ByHost<portcullis_model::VirtualHost>,
}

/// The rule that takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index into the listeners that the table was built from.
    pub listener: usize,
    /// Its number, see [`RouteTable::rule`].
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
    /// All that have it, nearly always one.
    pub(crate) listeners: Vec<usize>,
    pub(crate) pattern: HostPattern,
    pub(crate) virtual_hosts: HostIndex<VirtualHost>,
}

/// The rules for one host.
#[derive(Clone, Debug)]
pub(crate) struct VirtualHost {
    /// By their number in `routes`, those of the table, see [`RouteTable::rule`].
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

    /// The rule with a number. It keeps the number as long as the table is renewed and not built anew.
    pub fn rule(&self, number: usize) -> Option<&Arc<Rule>> {
        self.rules.get(number).map(|numbered| &numbered.rule)
    }

    /// Every rule of the socket once, with its number; in the order written where the table was built anew.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &Arc<Rule>)> {
        self.rules.numbered().map(|(number, numbered)| (number, &numbered.rule))
    }

    /// The numbers that may be those of other rules than in an earlier table.
    pub fn touched_since<'t>(&'t self, before: &'t RouteTable) -> impl Iterator<Item = usize> + 't {
        self.rules.touched_since(&before.rules)
    }
}

impl Frame {
    pub(crate) fn of(listener: &Listener) -> Self {
        Frame {
            gateway: listener.gateway.clone(),
            port: listener.port,
            hosts: listener.hosts.clone(),
            virtual_hosts: listener.virtual_hosts.clone(),
        }
    }

    /// Whether a listener is the same, but for its virtual hosts.
    pub(crate) fn is_around(&self, listener: &Listener) -> bool {
        self.gateway == listener.gateway
            && self.port == listener.port
            && self.hosts == listener.hosts
    }
}

impl VirtualHost {
    /// Where an entry's rule stands among those of the table.
    pub(crate) fn rule_index(&self, entry: Entry) -> Option<usize> {
        self.numbers.get(entry.rule as usize).map(|&number| number as usize)
    }
}
