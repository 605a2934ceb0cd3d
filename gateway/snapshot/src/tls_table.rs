//! The TLS policies of a socket by server name.

use std::sync::Arc;

use portcullis_exchange::Verdict;
use portcullis_message::HostPattern;
use portcullis_model::Listener;
use rustc_hash::FxHashMap;
use rustls::ServerConfig;

use crate::tls_policy::{PolicyId, TlsPolicy, refusing_config};

/// How a TLS client is received, by the name that it asks for (SNI), and which listener that policy is of.
#[derive(Debug, Default)]
pub struct TlsTable {
    exact: FxHashMap<Box<str>, Standing>,
    suffix: FxHashMap<Box<str>, Standing>,
    any: Option<Standing>,
    only: Option<Standing>,
    /// Of each listener of the socket, in their order.
    listeners: Vec<ListenerTls>,
    refusing: Option<Arc<ServerConfig>>,
}

/// The policy of a name; `None` where its handshakes are refused.
type Standing = Option<Arc<TlsPolicy>>;

/// What a listener has to do with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerPolicy {
    /// It speaks none.
    Plain,
    /// No handshake for it can succeed.
    Refused,
    /// This one.
    Policy(PolicyId),
}

#[derive(Debug)]
struct ListenerTls {
    gateway: Arc<str>,
    server: Arc<str>,
    has_tls: bool,
    policy: Standing,
}

impl TlsTable {
    /// The table for the listeners of one socket. Where two listeners have the same host, the first wins.
    pub(crate) fn build(listeners: &[Arc<Listener>], previous: Option<&TlsTable>) -> Self {
        let mut table = TlsTable::default();
        let mut seen = 0;
        for listener in listeners {
            let policy = table.policy_for(listener, previous);
            if listener.tls.is_some() {
                seen += 1;
                table.only = if seen == 1 { Some(policy.clone()) } else { None };
                for host in &listener.hosts {
                    table.add(host, policy.clone());
                }
            }
            table.listeners.push(ListenerTls {
                gateway: listener.gateway.clone(),
                server: listener.server.clone(),
                has_tls: listener.tls.is_some(),
                policy,
            });
        }
        if seen > 0 {
            table.refusing =
                previous.and_then(|table| table.refusing.clone()).or_else(refusing_config);
        }
        table
    }

    /// The policy for a server name in lower case; `None` refuses the handshake.
    ///
    /// A name whose own listener is refused never falls back to a wider one. A client that names nobody gets
    /// the policy for `*`, or the only one there is.
    pub fn find(&self, server_name: Option<&str>) -> Option<&Arc<TlsPolicy>> {
        let any = self.any.as_ref();
        let Some(name) = server_name else { return any.or(self.only.as_ref())?.as_ref() };
        if let Some(policy) = self.exact.get(name) {
            return policy.as_ref();
        }
        let mut rest = name;
        while let Some(dot) = rest.find('.') {
            let (_, suffix) = rest.split_at(dot);
            if let Some(policy) = self.suffix.get(suffix) {
                return policy.as_ref();
            }
            rest = suffix.strip_prefix('.').unwrap_or("");
        }
        any?.as_ref()
    }

    /// For a handshake that is to be refused, so that the client is told.
    pub fn refusing(&self) -> Option<&Arc<ServerConfig>> {
        self.refusing.as_ref()
    }

    /// The policy that a connection answers to now: that of the name which it asked for, provided that its
    /// client could still shake hands under it; `None` where it could not.
    pub fn judge(&self, server_name: Option<&str>, verdict: Verdict) -> Option<PolicyId> {
        let policy = self.find(server_name)?;
        policy.accepts(verdict).then_some(policy.id)
    }

    /// Whether a request for a host may be served by a listener with another policy than its connection's: the
    /// host's own handshakes would be the connection's, and the listener asks for nothing that they do not.
    ///
    /// So it is where several listeners take a host, and another one than the first has the routes.
    pub(crate) fn covers(&self, connection: u64, host: &str, listener: PolicyId) -> bool {
        let Some(policy) = self.find(Some(host)).filter(|policy| policy.id.number() == connection)
        else {
            return false;
        };
        let mut policies = self.listeners.iter().filter_map(|other| other.policy.as_ref());
        let asked = policies.find(|other| other.id == listener);
        asked.is_some_and(|asked| asked.accepts(policy.verdict))
    }

    /// What the listener at an index has to do with TLS.
    pub(crate) fn of_listener(&self, index: usize) -> ListenerPolicy {
        match self.listeners.get(index) {
            Some(ListenerTls { has_tls: true, policy: Some(policy), .. }) => {
                ListenerPolicy::Policy(policy.id)
            }
            Some(ListenerTls { has_tls: true, .. }) => ListenerPolicy::Refused,
            _ => ListenerPolicy::Plain,
        }
    }

    /// An equal policy of this table or the previous one, or a new one.
    fn policy_for(&self, listener: &Listener, previous: Option<&TlsTable>) -> Standing {
        let settings = listener.tls.as_ref()?;
        let here = self.listeners.iter().filter_map(|other| other.policy.as_ref());
        let before = previous.map_or(&[][..], |table| &table.listeners);
        let before_of = |other: &&ListenerTls| {
            other.gateway == listener.gateway && other.server == listener.server
        };
        let own = before.iter().find(before_of).and_then(|other| other.policy.as_ref());
        let others = before.iter().filter_map(|other| other.policy.as_ref());
        let equal = here.chain(own).chain(others).find(|policy| policy.is_of(settings));
        match equal {
            Some(policy) => Some(policy.clone()),
            None => TlsPolicy::compile(settings, own.map(|policy| &**policy)),
        }
    }

    fn add(&mut self, host: &HostPattern, policy: Standing) {
        match host {
            HostPattern::Any if self.any.is_none() => self.any = Some(policy),
            HostPattern::Any => {}
            HostPattern::Exact(name) => {
                self.exact.entry(name.clone()).or_insert(policy);
            }
            HostPattern::Suffix(suffix) => {
                self.suffix.entry(suffix.clone()).or_insert(policy);
            }
        }
    }
}
