//! What runs on a listener's requests or connections, in running order: its plugins and native filters, and the plugins
//! that a rule adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_filters::{Authorization, RequestAuthentication};
use portcullis_model::{FailStrategy, Listener, ObjectId, Phase, PluginProtocol, Rule};
use portcullis_wasm::Plugin;

use crate::{Authentications, PluginState};

/// The steps of a chain, shared by all requests that pass it.
pub type Chain = Arc<[ChainStep]>;

/// One filter in its place in the chain. The native ones are the listener's own; they answer at once, and see no reply.
#[derive(Clone, Debug)]
pub enum ChainStep {
    /// A plugin.
    Plugin(PluginStep),
    /// The policies with the action `CUSTOM`, before all else.
    CustomAuthorization(Arc<Authorization>),
    /// `RequestAuthentication`, behind the plugins of the phase `AUTHN`.
    Authentication(Arc<RequestAuthentication>),
    /// `AuthorizationPolicy`, behind the plugins of the phase `AUTHZ`.
    Authorization(Arc<Authorization>),
}

/// One plugin in its place in the chain.
#[derive(Clone, Debug)]
pub struct PluginStep {
    /// The plugin object.
    pub id: ObjectId,
    /// What its failure means for a request.
    pub fail_strategy: FailStrategy,
    /// Why it stands here.
    pub attached: Attached,
    /// The running plugin; `None` for one that never became good and answers by its fail strategy.
    pub plugin: Option<Arc<Plugin>>,
}

impl ChainStep {
    /// The plugin, where it is one.
    pub fn plugin(&self) -> Option<&PluginStep> {
        match self {
            ChainStep::Plugin(step) => Some(step),
            _ => None,
        }
    }

    /// Whether this is the same filter, so that who has passed one has passed the other. Of native ones a chain has one
    /// of each kind.
    pub fn is_same_filter(&self, other: &ChainStep) -> bool {
        match (self, other) {
            (ChainStep::Plugin(one), ChainStep::Plugin(other)) => one.id == other.id,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// The last phase whose plugins run before it; `None` where none do.
    fn last_phase_before(&self) -> Option<Phase> {
        match self {
            ChainStep::Plugin(_) | ChainStep::CustomAuthorization(_) => None,
            ChainStep::Authentication(_) => Some(Phase::Authn),
            ChainStep::Authorization(_) => Some(Phase::Authz),
        }
    }
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
    pub(crate) authentications: &'c Authentications,
    /// The port of their socket.
    pub(crate) port: u16,
}

impl Chains<'_> {
    /// For the requests of a listener.
    pub(crate) fn of_requests(&self, listener: &Listener) -> Chain {
        let plugins = self.of_listener(listener, PluginProtocol::filters_requests).collect();
        with_native(plugins, self.native_steps(listener), |step, native| {
            self.phase(&step.id) <= native.last_phase_before()
        })
    }

    /// For the connections of a listener. Whether they are let in at all is decided before
    /// ([`TcpTable::authorization`](crate::TcpTable::authorization)).
    pub(crate) fn of_connections(&self, listener: &Listener) -> Chain {
        let plugins = self.of_listener(listener, PluginProtocol::filters_connections);
        plugins.map(ChainStep::Plugin).collect()
    }

    /// A listener's chain with what a rule adds: by phase, then priority; of equal ones the listener's first. What
    /// stands in both runs once, in the listener's place.
    pub(crate) fn with_rule(&self, listener: &Chain, rule: &Rule) -> Chain {
        self.merge(listener, &rule.plugins)
    }

    fn merge(&self, listener: &Chain, own: &[ObjectId]) -> Chain {
        let is_there = |id: &ObjectId| {
            listener.iter().filter_map(ChainStep::plugin).any(|step| step.id == *id)
        };
        let runs = |id: &&ObjectId| {
            self.plugins.get(id).is_some_and(|state| state.settings().runs_on_port(self.port))
        };
        let own = own.iter().filter(|id| !is_there(id)).filter(runs);
        let mut own = own.filter_map(|id| self.step(id, Attached::Rule)).peekable();
        let mut merged = Vec::new();
        for step in listener.iter() {
            while let Some(earlier) = own.next_if(|own| self.precedes(own, step)) {
                merged.push(ChainStep::Plugin(earlier));
            }
            merged.push(step.clone());
        }
        merged.into_iter().chain(own.map(ChainStep::Plugin)).collect()
    }

    fn of_listener(
        &self,
        listener: &Listener,
        wants: fn(PluginProtocol) -> bool,
    ) -> impl Iterator<Item = PluginStep> {
        let wanted = move |id: &&ObjectId| {
            self.plugins.get(id).is_some_and(|state| wants(state.settings().protocol))
        };
        let ids = listener.plugins.iter().filter(wanted);
        ids.filter_map(|id| self.step(id, Attached::Listener))
    }

    fn step(&self, id: &ObjectId, attached: Attached) -> Option<PluginStep> {
        let state = self.plugins.get(id)?;
        Some(PluginStep {
            id: id.clone(),
            fail_strategy: state.fail_strategy(),
            attached,
            plugin: state.running().cloned(),
        })
    }

    fn phase(&self, id: &ObjectId) -> Option<Phase> {
        self.plugins.get(id).map(|state| state.settings().phase)
    }

    fn precedes(&self, one: &PluginStep, other: &ChainStep) -> bool {
        let ChainStep::Plugin(other) = other else {
            return self.phase(&one.id) <= other.last_phase_before();
        };
        match (self.plugins.get(&one.id), self.plugins.get(&other.id)) {
            (Some(one), Some(other)) => one.settings().precedes(other.settings()),
            _ => false,
        }
    }
}

impl Chains<'_> {
    /// The native filters of a listener, in running order.
    fn native_steps(&self, listener: &Listener) -> Vec<ChainStep> {
        let authorization = listener.authorization.as_ref();
        let custom = authorization.filter(|authorization| authorization.has_custom());
        let custom = custom.cloned().map(ChainStep::CustomAuthorization);
        let authentication = listener.authentication.as_ref();
        let authentication =
            authentication.and_then(|settings| self.authentications.filter(settings));
        let authentication = authentication.map(ChainStep::Authentication);
        let authorization = authorization.cloned().map(ChainStep::Authorization);
        [custom, authentication, authorization].into_iter().flatten().collect()
    }
}

/// Both in one list, where `is_first` tells of a plugin whether it stands before a native filter.
fn with_native(
    plugins: Vec<PluginStep>,
    native: Vec<ChainStep>,
    is_first: impl Fn(&PluginStep, &ChainStep) -> bool,
) -> Chain {
    let mut plugins = plugins.into_iter().peekable();
    let mut chain = Vec::new();
    for step in native {
        while let Some(first) = plugins.next_if(|plugin| is_first(plugin, &step)) {
            chain.push(ChainStep::Plugin(first));
        }
        chain.push(step);
    }
    chain.into_iter().chain(plugins.map(ChainStep::Plugin)).collect()
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
        let authentications = Authentications::default();
        let chains = Chains { plugins: &states, authentications: &authentications, port: 80 };
        let step =
            |name: &&str| ChainStep::Plugin(chains.step(&id(name), Attached::Listener).unwrap());
        let listener: Chain = listener.iter().map(step).collect();
        let ids: Vec<ObjectId> = rule.iter().map(|name| id(name)).collect();
        let names: Vec<String> = chains
            .merge(&listener, &ids)
            .iter()
            .filter_map(ChainStep::plugin)
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
