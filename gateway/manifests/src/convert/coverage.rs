//! Which listeners a plugin or policy is for.

use std::collections::HashMap;

use portcullis_model::{Listener, ObjectId};

use super::open::OpenGateway;
use crate::kinds::{Coverage, Gateway};

/// The chains of the listeners while plugins are put into them.
pub(crate) struct Attachment<'a> {
    gateways: &'a [OpenGateway],
    /// For each listener the Gateways whose requests it takes: its own and, where it is the first of
    /// several with one host, theirs.
    takes_for: Vec<Vec<usize>>,
    chains: Vec<Vec<ObjectId>>,
}

impl<'a> Attachment<'a> {
    /// Empty chains for these listeners, each given with the index of its Gateway.
    pub(crate) fn new(gateways: &'a [OpenGateway], listeners: &[(usize, Listener)]) -> Self {
        let mut takes_for: Vec<Vec<usize>> =
            listeners.iter().map(|(gateway, _)| vec![*gateway]).collect();
        let mut first = HashMap::new();
        for (index, (gateway, listener)) in listeners.iter().enumerate() {
            for host in &listener.hosts {
                let first = *first.entry((listener.port, listener.bind, host)).or_insert(index);
                let gateways = takes_for.get_mut(first).filter(|known| !known.contains(gateway));
                gateways.into_iter().for_each(|gateways| gateways.push(*gateway));
            }
        }
        Attachment { gateways, chains: vec![Vec::new(); takes_for.len()], takes_for }
    }

    /// The Gateways that listen.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = &'a Gateway> {
        self.gateways.iter().map(|open| &*open.gateway)
    }

    /// Puts a plugin at the end of every chain that it is for; the Gateways that it covers.
    pub(crate) fn append(&mut self, id: &ObjectId, coverage: &Coverage) -> Vec<&'a Gateway> {
        self.insert(coverage, |chain| chain.push(id.clone()))
    }

    /// Puts a plugin in front of every chain that it is for; the Gateways that it covers.
    pub(crate) fn prepend(&mut self, id: &ObjectId, coverage: &Coverage) -> Vec<&'a Gateway> {
        self.insert(coverage, |chain| chain.insert(0, id.clone()))
    }

    fn insert(
        &mut self,
        coverage: &Coverage,
        insert: impl Fn(&mut Vec<ObjectId>),
    ) -> Vec<&'a Gateway> {
        let is_covered: Vec<bool> =
            self.gateways().map(|gateway| covers(coverage, gateway)).collect();
        for (chain, takes_for) in self.chains.iter_mut().zip(&self.takes_for) {
            if takes_for.iter().any(|gateway| is_covered.get(*gateway) == Some(&true)) {
                insert(chain);
            }
        }
        let covered = self.gateways().zip(is_covered).filter(|(_, is_covered)| *is_covered);
        covered.map(|(gateway, _)| gateway).collect()
    }

    /// The chains, in the order of the listeners.
    pub(crate) fn into_chains(self) -> Vec<Vec<ObjectId>> {
        self.chains
    }
}

fn covers(coverage: &Coverage, gateway: &Gateway) -> bool {
    let id = &gateway.metadata.id;
    match coverage {
        Coverage::Every => true,
        Coverage::Namespace(namespace) => id.namespace == *namespace,
        // A Gateway without a selector is for every workload, whatever its labels.
        Coverage::Labels { .. } if gateway.selector.is_empty() => true,
        Coverage::Labels { labels, .. } => labels.iter().all(|label| {
            gateway.selector.contains(label) || gateway.metadata.labels.contains(label)
        }),
        Coverage::Named(targets) => {
            targets.iter().any(|target| target.namespace == id.namespace && target.name == id.name)
        }
    }
}
