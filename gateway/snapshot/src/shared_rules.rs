//! Rules of a new model that are those of the previous one are the very same in memory, so that nothing of them is
//! compiled or kept twice.

use std::sync::Arc;

use portcullis_model::{Model, Rule};
use rustc_hash::FxHashMap;

/// Puts the rules of `previous` in the place of equal ones.
pub(crate) fn share_rules(model: &mut Model, previous: &Model) {
    let mut known = Known::of(previous);
    for rule in rules_mut(model) {
        if let Some(before) = known.equal(rule) {
            *rule = before;
        }
    }
}

fn rules_mut(model: &mut Model) -> impl Iterator<Item = &mut Arc<Rule>> {
    let virtual_hosts = model.listeners.iter_mut().flat_map(|listener| &mut listener.virtual_hosts);
    virtual_hosts.flat_map(|virtual_host| &mut virtual_host.rules)
}

/// The rules of a model by their ids, which several may have.
struct Known<'m> {
    by_id: FxHashMap<&'m str, Vec<&'m Arc<Rule>>>,
    /// What was found for a rule of the new model, by its address: it comes under many hosts. The rule is held,
    /// so that its address stays its own.
    found: FxHashMap<usize, (Arc<Rule>, Option<Arc<Rule>>)>,
}

impl<'m> Known<'m> {
    fn of(model: &'m Model) -> Self {
        let mut by_id: FxHashMap<&str, Vec<&Arc<Rule>>> = FxHashMap::default();
        let virtual_hosts = model.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        for rule in virtual_hosts.flat_map(|virtual_host| &virtual_host.rules) {
            let same_id = by_id.entry(&rule.id).or_default();
            // Under many hosts they are in the same order, so the last is the likeliest.
            if !same_id.iter().rev().any(|known| Arc::ptr_eq(known, rule)) {
                same_id.push(rule);
            }
        }
        Known { by_id, found: FxHashMap::default() }
    }

    fn equal(&mut self, rule: &Arc<Rule>) -> Option<Arc<Rule>> {
        let address = Arc::as_ptr(rule).addr();
        let Known { by_id, found } = self;
        let (_, equal) = found.entry(address).or_insert_with(|| {
            let same_id = by_id.get(&*rule.id).map_or(&[][..], Vec::as_slice);
            let equal = same_id.iter().find(|known| ***known == *rule);
            (Arc::clone(rule), equal.map(|known| Arc::clone(known)))
        });
        equal.clone()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_message::HostPattern;
    use portcullis_model::{Listener, VirtualHost};

    use super::*;

    fn model(rules: &[Arc<Rule>]) -> Model {
        let virtual_host = |rule: &Arc<Rule>| VirtualHost {
            host: HostPattern::Any,
            rules: vec![rule.clone(), rule.clone()],
        };
        let virtual_hosts = rules.iter().map(virtual_host).collect();
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
        let rules: Vec<_> = rules_mut(&mut shared).map(|rule| Arc::as_ptr(rule)).collect();
        let wanted = [&before[2], &before[1], &after[2], &after[3]].map(|rule| [rule, rule]);
        assert!(rules.into_iter().eq(wanted.concat().into_iter().map(Arc::as_ptr)));
    }
}
