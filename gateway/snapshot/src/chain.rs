//! The plugins that run on a listener's requests or connections, in running order, and those that a rule adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{FailStrategy, Listener, ObjectId, PluginProtocol, Rule};
use portcullis_wasm::Plugin;

use crate::PluginState;

/// The steps of a chain, shared by all requests that pass it.
pub type Chain = Arc<[ChainStep]>;

/// One plugin in its place in the chain.
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// The plugin object.
    pub id: ObjectId,
    /// What its failure means for a request.
    pub fail_strategy: FailStrategy,
    /// Why it stands here.
    pub attached: Attached,
    /// The running plugin; `None` for one that never became good and answers by its fail strategy.
    pub plugin: Option<Arc<Plugin>>,
}

/// What a plugin is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The listener, by its Gateway.
    Listener,
    /// The rule, or all rules of its VirtualService.
    Rule,
}

/// What chains are made of.
#[derive(Clone, Copy)]
pub(crate) struct Chains<'c> {
    pub(crate) plugins: &'c BTreeMap<ObjectId, PluginState>,
    /// The port of their socket.
    pub(crate) port: u16,
}

impl Chains<'_> {
    /// For the requests of a listener.
    pub(crate) fn of_requests(&self, listener: &Listener) -> Chain {
        self.of_listener(listener, PluginProtocol::filters_requests).collect()
    }

    /// For the connections of a listener.
    pub(crate) fn of_connections(&self, listener: &Listener) -> Chain {
        self.of_listener(listener, PluginProtocol::filters_connections).collect()
    }

    /// A listener's chain with what a rule adds: by phase, then priority; of equal ones the listener's first. What
    /// stands in both runs once, in the listener's place.
    pub(crate) fn with_rule(&self, listener: &Chain, rule: &Rule) -> Chain {
        self.merge(listener, &rule.plugins)
    }

    fn merge(&self, listener: &Chain, own: &[ObjectId]) -> Chain {
        let own = own.iter().filter(|id| listener.iter().all(|step| step.id != **id));
        let runs = |id: &&ObjectId| {
            self.plugins.get(id).is_some_and(|state| state.settings().runs_on_port(self.port))
        };
        let mut own = own.filter(runs).filter_map(|id| self.step(id, Attached::Rule)).peekable();
        let mut merged = Vec::new();
        for step in listener.iter() {
            while let Some(earlier) = own.next_if(|own| self.precedes(own, step)) {
                merged.push(earlier);
            }
            merged.push(step.clone());
        }
        merged.into_iter().chain(own).collect()
    }

    fn of_listener(
        &self,
        listener: &Listener,
        wants: fn(PluginProtocol) -> bool,
    ) -> impl Iterator<Item = ChainStep> {
        let wanted = move |id: &&ObjectId| {
            self.plugins.get(id).is_some_and(|state| wants(state.settings().protocol))
        };
        let ids = listener.plugins.iter().filter(wanted);
        ids.filter_map(|id| self.step(id, Attached::Listener))
    }

    fn step(&self, id: &ObjectId, attached: Attached) -> Option<ChainStep> {
        let state = self.plugins.get(id)?;
        Some(ChainStep {
            id: id.clone(),
            fail_strategy: state.fail_strategy(),
            attached,
            plugin: state.running().cloned(),
        })
    }

    fn precedes(&self, one: &ChainStep, other: &ChainStep) -> bool {
        match (self.plugins.get(&one.id), self.plugins.get(&other.id)) {
            (Some(one), Some(other)) => one.settings().precedes(other.settings()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Phase, Plugin as Settings};

    use super::*;

    type Written<'w> = (&'w str, Phase, i32, &'w [u16]);

    fn states(plugins: &[Written<'_>]) -> BTreeMap<ObjectId, PluginState> {
        let state = |(name, phase, priority, ports): &Written<'_>| {
            let (phase, priority, ports) = (*phase, *priority, ports.to_vec());
            let settings = Settings { phase, priority, ports, ..Settings::for_test(name) };
            (settings.id.clone(), PluginState::Refused { settings: Arc::new(settings) })
        };
        plugins.iter().map(state).collect()
    }

    fn id(name: &str) -> ObjectId {
        ObjectId::new("WasmPlugin", "default", name)
    }

    /// The chain of a rule with these plugins, whose listener has those.
    fn merged(plugins: &[Written<'_>], listener: &[&str], rule: &[&str]) -> String {
        let states = states(plugins);
        let chains = Chains { plugins: &states, port: 80 };
        let step = |name: &&str| chains.step(&id(name), Attached::Listener).unwrap();
        let listener: Chain = listener.iter().map(step).collect();
        let ids: Vec<ObjectId> = rule.iter().map(|name| id(name)).collect();
        let names: Vec<String> = chains
            .merge(&listener, &ids)
            .iter()
            .map(|step| match step.attached {
                Attached::Listener => step.id.name.to_string(),
                Attached::Rule => format!("+{}", step.id.name),
            })
            .collect();
        names.join(" ")
    }

    #[test]
    fn a_rules_plugins_stand_behind_the_listeners_of_the_same_place() {
        let plugins = [
            ("a", Phase::Authn, 1, &[][..]),
            ("b", Phase::Authn, 1, &[]),
            ("c", Phase::Stats, 0, &[]),
            ("d", Phase::Authz, 9, &[]),
            ("e", Phase::Unspecified, 0, &[]),
        ];
        assert_eq!(merged(&plugins, &["a", "c"], &["b", "d", "e"]), "a +b +d c +e");
        assert_eq!(merged(&plugins, &["b", "e"], &["a", "c"]), "b +a +c e");
        assert_eq!(merged(&plugins, &[], &["a", "d"]), "+a +d");
        assert_eq!(merged(&plugins, &["a"], &[]), "a");
    }

    #[test]
    fn what_both_have_runs_once_and_what_is_for_another_port_does_not() {
        let plugins = [
            ("a", Phase::Authn, 0, &[][..]),
            ("b", Phase::Authz, 0, &[81]),
            ("c", Phase::Authz, 0, &[80, 81]),
        ];
        assert_eq!(merged(&plugins, &["a"], &["a", "b", "c"]), "a +c");
    }
}
