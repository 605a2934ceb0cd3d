//! Rules of a new model that are those of the previous one are the very same in memory, so that nothing of them is
//! compiled or kept twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_model::{ByHost, Change, Listener, Model, Rule, VirtualHost};
use rustc_hash::FxHashMap;

/// Puts the rules of `previous` in the place of equal ones. Only virtual hosts that are others are looked at.
pub(crate) fn share_rules(model: &mut Model, previous: &Model) {
    let names = |listener: &Listener| (listener.gateway.clone(), listener.server.clone());
    let before: HashMap<_, _> =
        previous.listeners.iter().map(|listener| (names(listener), listener)).collect();
    let none = ByHost::default();
    let pairs: Vec<_> = model
        .listeners
        .iter()
        .map(|listener| before.get(&names(listener)).map_or(&none, |before| &before.virtual_hosts))
        .collect();
    let changes = model.listeners.iter().zip(&pairs);
    let changes: Vec<Vec<Change<'_, VirtualHost>>> =
        changes.map(|(now, before)| now.virtual_hosts.changes_since(before)).collect();
    let known = Known::of(changes.iter().flatten().filter_map(|change| change.before));
    let mut done = Done::default();
    let others: Vec<BTreeMap<_, _>> = changes
        .iter()
        .map(|changes| {
            let others = changes.iter().filter_map(|change| {
                let other = done.in_place_of(change, &known)?;
                Some((other.host.clone(), Some(other)))
            });
            others.collect()
        })
        .collect();
    drop(changes);
    for (listener, others) in model.listeners.iter_mut().zip(others) {
        if !others.is_empty() {
            listener.virtual_hosts = listener.virtual_hosts.with(&others);
        }
    }
}

/// Virtual hosts with rules that are known, by the addresses of those that they replace: several listeners have the
/// same one.
#[derive(Default)]
struct Done(FxHashMap<usize, Option<Arc<VirtualHost>>>);

impl Done {
    /// The same virtual host with rules that are known; `None` where none is.
    fn in_place_of(
        &mut self,
        change: &Change<'_, VirtualHost>,
        known: &Known<'_>,
    ) -> Option<Arc<VirtualHost>> {
        let now = change.now?;
        let make = || match change.before {
            Some(before) if **before == **now => Some(Arc::clone(before)),
            _ => known.in_place_of(now),
        };
        self.0.entry(Arc::as_ptr(now).addr()).or_insert_with(make).clone()
    }
}

/// Rules of the previous model by id; several may have one.
struct Known<'m>(FxHashMap<&'m str, Vec<&'m Arc<Rule>>>);

impl<'m> Known<'m> {
    fn of(hosts: impl Iterator<Item = &'m Arc<VirtualHost>>) -> Self {
        let mut known: FxHashMap<&str, Vec<&Arc<Rule>>> = FxHashMap::default();
        for rule in hosts.flat_map(|host| &host.rules) {
            let same_id = known.entry(&rule.id).or_default();
            // A rule that comes under many hosts stands there once.
            if !same_id.iter().rev().any(|one| Arc::ptr_eq(one, rule)) {
                same_id.push(rule);
            }
        }
        Known(known)
    }

    fn in_place_of(&self, host: &VirtualHost) -> Option<Arc<VirtualHost>> {
        let known: Vec<Option<&Arc<Rule>>> =
            host.rules.iter().map(|rule| self.equal(rule)).collect();
        let is_known = known.iter().any(Option::is_some);
        let pairs = known.into_iter().zip(&host.rules);
        let rules = pairs.map(|(known, rule)| Arc::clone(known.unwrap_or(rule)));
        is_known.then(|| Arc::new(VirtualHost { host: host.host.clone(), rules: rules.collect() }))
    }

    fn equal(&self, rule: &Rule) -> Option<&'m Arc<Rule>> {
        let same_id = self.0.get(&*rule.id)?;
        same_id.iter().copied().find(|known| Rule::eq(known, rule))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_message::HostPattern;
    use portcullis_model::Listener;

    use super::*;

    fn model(rules: &[Arc<Rule>]) -> Model {
        let virtual_host = |(number, rule): (usize, &Arc<Rule>)| VirtualHost {
            host: HostPattern::Exact(format!("h{number}").into()),
            rules: vec![rule.clone(), rule.clone()],
        };
        let virtual_hosts = rules.iter().enumerate().map(virtual_host).collect();
        Model {
            listeners: vec![Listener { virtual_hosts, ..Listener::for_test() }],
            ..Model::default()
        }
    }

    fn rule(id: &str, plugins: usize) -> Arc<Rule> {
        let plugin = portcullis_model::ObjectId::new("WasmPlugin", "default", "a");
        Arc::new(Rule { plugins: vec![plugin; plugins], ..Rule::for_test(id) })
    }

    #[test]
    fn equal_rules_become_the_same_and_others_stay() {
        let before = [rule("a", 0), rule("a", 1), rule("b", 0)];
        let after = [rule("b", 0), rule("a", 1), rule("a", 2), rule("c", 0)];
        let mut shared = model(&after);
        share_rules(&mut shared, &model(&before));
        assert_eq!(shared, model(&after));
        let hosts = shared.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        let rules: Vec<_> = hosts.flat_map(|host| &host.rules).map(Arc::as_ptr).collect();
        let wanted = [&before[2], &before[1], &after[2], &after[3]].map(|rule| [rule, rule]);
        assert!(rules.into_iter().eq(wanted.concat().into_iter().map(Arc::as_ptr)));
    }
}
