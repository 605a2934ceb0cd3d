//! Which listeners a plugin or policy is for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::{Listener, ListenerProtocol, ObjectId, PluginProtocol};

use super::open::OpenGateway;
use crate::kinds::{Coverage, Gateway, PluginTargetKind, PortReach, ROOT_NAMESPACE, Target};

/// The chains of the listeners while plugins are put into them.
pub(crate) struct Attachment<'a> {
    gateways: &'a [OpenGateway],
    home: Home<'a>,
    listeners: Vec<Chain>,
    /// Some Gateway is broken and serves nothing.
    lacks_one: bool,
}

/// The namespace that the gateway itself runs in (`--namespace`), where it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'h>(pub(crate) Option<&'h str>);

/// The kind of Gateways of both languages.
const GATEWAY: &str = "Gateway";

/// The chain of a listener.
struct Chain {
    plugins: Vec<ObjectId>,
    port: u16,
    protocol: ListenerProtocol,
    /// The servers whose requests it takes, each with the index of its Gateway: itself and, where it is the first of
    /// several with one host, those.
    takes_for: Vec<(usize, Arc<str>)>,
}

/// What a plugin asks of the listeners that it runs on, beside its coverage.
#[derive(Clone, Copy)]
pub(crate) struct Fit<'f> {
    pub(crate) protocol: PluginProtocol,
    pub(crate) reach: &'f PortReach,
}

impl<'a> Attachment<'a> {
    /// Empty chains for these listeners, each given with the index of its Gateway. `broken` are all objects that are.
    pub(crate) fn new(
        (gateways, broken): (&'a [OpenGateway], &HashSet<ObjectId>),
        home: Home<'a>,
        listeners: &[(usize, Listener)],
    ) -> Self {
        let chain = |(gateway, listener): &(usize, Listener)| Chain {
            plugins: Vec::new(),
            port: listener.port,
            protocol: listener.protocol,
            takes_for: vec![(*gateway, listener.server.clone())],
        };
        let mut chains: Vec<Chain> = listeners.iter().map(chain).collect();
        let mut first = HashMap::new();
        for (index, (gateway, listener)) in listeners.iter().enumerate() {
            for host in &listener.hosts {
                let first = *first.entry((listener.port, listener.bind, host)).or_insert(index);
                let server = (*gateway, listener.server.clone());
                if let Some(chain) = chains.get_mut(first)
                    && !chain.takes_for.contains(&server)
                {
                    chain.takes_for.push(server);
                }
            }
        }
        let serves = |id: &ObjectId| gateways.iter().any(|open| open.gateway.metadata.id == *id);
        let lacks_one = broken.iter().any(|id| *id.kind == *GATEWAY && !serves(id));
        Attachment { gateways, home, listeners: chains, lacks_one }
    }

    /// Whether a policy that covers none of these Gateways has to be told so: not where one is broken that it may be
    /// for, which says it all.
    pub(crate) fn is_whole(&self) -> bool {
        !self.lacks_one
    }

    /// The Gateways that listen.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = &'a Gateway> {
        self.gateways.iter().map(|open| &*open.gateway)
    }

    /// Puts a plugin at the end of every chain that it is for; the Gateways that it covers, and whether it runs
    /// anywhere.
    pub(crate) fn append(
        &mut self,
        id: &ObjectId,
        coverage: &Coverage,
        fit: Fit<'_>,
    ) -> (Vec<&'a Gateway>, bool) {
        let mut runs = false;
        let covered = self.insert(coverage, |chain| {
            if fit.takes(chain) {
                chain.plugins.push(id.clone());
                runs = true;
            }
        });
        (covered, runs)
    }

    /// Puts a policy in front of every chain that it is for; the Gateways that it covers.
    pub(crate) fn prepend(&mut self, id: &ObjectId, coverage: &Coverage) -> Vec<&'a Gateway> {
        self.insert(coverage, |chain| chain.plugins.insert(0, id.clone()))
    }

    /// The listeners that a policy is for, by their places, and the Gateways that it covers.
    pub(crate) fn covered(&self, coverage: &Coverage) -> (Vec<usize>, Vec<&'a Gateway>) {
        let is_covered = |(_, chain): &(usize, &Chain)| chain.is_covered(self.scope(), coverage);
        let listeners = self.listeners.iter().enumerate().filter(is_covered);
        let gateways = self.gateways().filter(|gateway| self.home.covers(coverage, gateway, None));
        (listeners.map(|(index, _)| index).collect(), gateways.collect())
    }

    /// Whether an object of a namespace that covers a listener speaks for its host as a whole: not where the host is
    /// shared, the oldest Gateway that has it is another namespace's, and the object could not select that.
    pub(crate) fn is_at_home(&self, listener: usize, namespace: &str) -> bool {
        let chain = self.listeners.get(listener);
        let first = chain.and_then(|chain| chain.takes_for.first());
        let gateway = first.and_then(|(index, _)| self.gateways.get(*index));
        gateway.is_none_or(|open| {
            let owner = &open.gateway.metadata.id.namespace;
            **owner == *namespace || self.home.may_select(namespace, &open.gateway)
        })
    }

    fn insert(
        &mut self,
        coverage: &Coverage,
        mut insert: impl FnMut(&mut Chain),
    ) -> Vec<&'a Gateway> {
        let scope = self.scope();
        for chain in &mut self.listeners {
            if chain.is_covered(scope, coverage) {
                insert(chain);
            }
        }
        self.gateways().filter(|gateway| self.home.covers(coverage, gateway, None)).collect()
    }

    fn scope(&self) -> Scope<'a> {
        (self.gateways, self.home)
    }

    /// The chains, in the order of the listeners.
    pub(crate) fn into_chains(self) -> Vec<Vec<ObjectId>> {
        self.listeners.into_iter().map(|chain| chain.plugins).collect()
    }
}

/// The Gateways, and where the gateway runs.
type Scope<'s> = (&'s [OpenGateway], Home<'s>);

impl Chain {
    fn is_covered(&self, (gateways, home): Scope<'_>, coverage: &Coverage) -> bool {
        self.takes_for.iter().any(|(index, server)| {
            let gateway = gateways.get(*index).map(|open| &*open.gateway);
            gateway.is_some_and(|gateway| home.covers(coverage, gateway, Some(server)))
        })
    }
}

impl Fit<'_> {
    fn takes(&self, chain: &Chain) -> bool {
        let speaks = match chain.protocol.is_http() {
            true => self.protocol.filters_requests(),
            false => self.protocol.filters_connections(),
        };
        speaks
            && match self.reach {
                PortReach::Every => true,
                PortReach::These(ports) => ports.contains(&chain.port),
                PortReach::Nowhere => false,
            }
    }
}

impl Home<'_> {
    /// Whether a Gateway is covered, in whole or, where that is asked, with this server.
    pub(crate) fn covers(
        self,
        coverage: &Coverage,
        gateway: &Gateway,
        server: Option<&str>,
    ) -> bool {
        let id = &gateway.metadata.id;
        match coverage {
            Coverage::Every => true,
            Coverage::Namespace(namespace) | Coverage::Unclear(namespace) => {
                id.namespace == *namespace || self.may_select(namespace, gateway)
            }
            Coverage::Labels { namespace, labels, .. } => {
                self.may_select(namespace, gateway) && has_labels(gateway, labels)
            }
            Coverage::Named(targets) => targets.iter().any(|target| {
                let is_meant =
                    target.means(PluginTargetKind::Gateway, id) || is_of_class(target, gateway);
                is_meant && (server.is_none() || names_server(target, gateway, server))
            }),
        }
    }

    /// Whether objects of a namespace may select a Gateway's workload: as in Istio those of the workload's own namespace
    /// and of the root one. Where the former is not known, that of the Gateway stands for it.
    pub(crate) fn may_select(self, namespace: &str, gateway: &Gateway) -> bool {
        namespace == ROOT_NAMESPACE || namespace == self.0.unwrap_or(&gateway.metadata.id.namespace)
    }
}

/// A Gateway without a selector is for every workload, whatever its labels.
fn has_labels(gateway: &Gateway, labels: &[(String, String)]) -> bool {
    let has = |label| gateway.selector.contains(label) || gateway.metadata.labels.contains(label);
    gateway.selector.is_empty() || labels.iter().all(has)
}

/// Whether a policy for a class of Gateways is for this one. Only the root namespace speaks for all namespaces.
fn is_of_class(target: &Target, gateway: &Gateway) -> bool {
    target.kind == PluginTargetKind::GatewayClass
        && *target.namespace == *ROOT_NAMESPACE
        && gateway.class.as_deref() == Some(&*target.name)
}

/// A section that the Gateway does not have leaves none of its servers uncovered.
fn names_server(target: &Target, gateway: &Gateway, server: Option<&str>) -> bool {
    let Some(section) = target.section.as_deref() else { return true };
    let exists = gateway.servers.iter().any(|server| *server.name == *section);
    !exists || server == Some(section)
}
