//! Which listeners a plugin or policy is for.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::{Listener, ListenerProtocol, ObjectId, PluginProtocol};

use super::open::OpenGateway;
use crate::kinds::{Coverage, Gateway, PluginTargetKind, PortReach, ROOT_NAMESPACE, Target};

/// The chains of the listeners while plugins are put into them.
pub(crate) struct Attachment<'a> {
    gateways: &'a [OpenGateway],
    listeners: Vec<Chain>,
}

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
    /// Empty chains for these listeners, each given with the index of its Gateway.
    pub(crate) fn new(gateways: &'a [OpenGateway], listeners: &[(usize, Listener)]) -> Self {
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
        Attachment { gateways, listeners: chains }
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
        let is_covered = |(_, chain): &(usize, &Chain)| chain.is_covered(self.gateways, coverage);
        let listeners = self.listeners.iter().enumerate().filter(is_covered);
        let gateways = self.gateways().filter(|gateway| covers(coverage, gateway, None));
        (listeners.map(|(index, _)| index).collect(), gateways.collect())
    }

    fn insert(
        &mut self,
        coverage: &Coverage,
        mut insert: impl FnMut(&mut Chain),
    ) -> Vec<&'a Gateway> {
        let gateways = self.gateways;
        for chain in &mut self.listeners {
            if chain.is_covered(gateways, coverage) {
                insert(chain);
            }
        }
        self.gateways().filter(|gateway| covers(coverage, gateway, None)).collect()
    }

    /// The chains, in the order of the listeners.
    pub(crate) fn into_chains(self) -> Vec<Vec<ObjectId>> {
        self.listeners.into_iter().map(|chain| chain.plugins).collect()
    }
}

impl Chain {
    fn is_covered(&self, gateways: &[OpenGateway], coverage: &Coverage) -> bool {
        self.takes_for.iter().any(|(index, server)| {
            let gateway = gateways.get(*index).map(|open| &*open.gateway);
            gateway.is_some_and(|gateway| covers(coverage, gateway, Some(server)))
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

/// Whether a Gateway is covered, in whole or, where that is asked, with this server.
pub(crate) fn covers(coverage: &Coverage, gateway: &Gateway, server: Option<&str>) -> bool {
    let id = &gateway.metadata.id;
    match coverage {
        Coverage::Every => true,
        Coverage::Namespace(namespace) => id.namespace == *namespace,
        // A Gateway without a selector is for every workload, whatever its labels.
        Coverage::Labels { .. } if gateway.selector.is_empty() => true,
        Coverage::Labels { labels, .. } => labels.iter().all(|label| {
            gateway.selector.contains(label) || gateway.metadata.labels.contains(label)
        }),
        Coverage::Named(targets) => targets.iter().any(|target| {
            let is_meant =
                target.means(PluginTargetKind::Gateway, id) || is_of_class(target, gateway);
            is_meant && (server.is_none() || names_server(target, gateway, server))
        }),
    }
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
