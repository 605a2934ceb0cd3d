//! What is served on one socket: its routes with everything that a chosen rule needs at hand.

use std::sync::Arc;

use portcullis_filters::Bucket;
use portcullis_message::HeadRules;
use portcullis_model::{ByHost, ConnectionPolicy, Listener, ListenerProtocol};
use portcullis_routing::{RouteTable, Slots};

use crate::chain::{Chain, Chains};
use crate::compiled_rule::CompiledRule;
use crate::known_rules::{Before, KnownRules, RuleCompiler};
use crate::listener_chains::ListenerChains;
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
        let (rules, plugged) = compiler.compile(previous.map(SocketTable::before), known);
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
    /// What the next table may have of it.
    pub(crate) fn before(&self) -> Before<'_> {
        Before { routes: &self.routes, rules: &self.rules, plugged: &self.plugged }
    }

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

/// The rules of all listeners of a socket, where they agree.
fn common_head_rules(listeners: &[Arc<Listener>]) -> Option<HeadRules> {
    let mut rules = listeners.iter().map(|listener| listener.requests.head);
    let first = rules.next().unwrap_or_default();
    rules.all(|other| other == first).then_some(first)
}
