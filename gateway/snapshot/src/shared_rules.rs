//! Rules of a new model that are those of the previous one are the very same in memory, so that nothing of them is
//! compiled or kept twice.

use std::cell::OnceCell;
use std::sync::Arc;

use portcullis_model::{Model, Rule, VirtualHost};
use rustc_hash::FxHashMap;

/// Puts the rules of `previous` in the place of equal ones.
pub(crate) fn share_rules(model: &mut Model, previous: &Model) {
    let mut known = Known::of(previous);
    for listener in &mut model.listeners {
        listener.virtual_hosts.replace(|host| known.in_place_of(host));
    }
}

/// The rules of a model in their order.
struct Known<'m> {
    rules: Vec<&'m Arc<Rule>>,
    /// Where the next one is looked for first: most configurations differ little from the one before.
    next: usize,
    /// Where those of an id stand, once that is asked. Several rules may have one id.
    by_id: OnceCell<FxHashMap<&'m str, Vec<usize>>>,
}

impl<'m> Known<'m> {
    fn of(model: &'m Model) -> Self {
        let virtual_hosts = model.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        let rules = virtual_hosts.flat_map(|virtual_host| &virtual_host.rules).collect();
        Known { rules, next: 0, by_id: OnceCell::new() }
    }

    /// The same virtual host with rules that are known; `None` where none is.
    fn in_place_of(&mut self, host: &VirtualHost) -> Option<Arc<VirtualHost>> {
        let known: Vec<_> = host.rules.iter().map(|rule| self.equal(rule)).collect();
        let is_known = known.iter().any(Option::is_some);
        let pairs = known.into_iter().zip(&host.rules);
        let rules = pairs.map(|(known, rule)| known.unwrap_or(rule).clone());
        is_known.then(|| VirtualHost { host: host.host.clone(), rules: rules.collect() }.into())
    }

    fn equal(&mut self, rule: &Rule) -> Option<&'m Arc<Rule>> {
        let place = match self.rules.get(self.next) {
            Some(known) if ***known == *rule => self.next,
            _ => self.place_of(rule)?,
        };
        self.next = place + 1;
        self.rules.get(place).copied()
    }

    fn place_of(&self, rule: &Rule) -> Option<usize> {
        let places = self.by_id.get_or_init(|| places_by_id(&self.rules)).get(&*rule.id)?;
        let is_equal =
            |place: &usize| self.rules.get(*place).is_some_and(|known| ***known == *rule);
        places.iter().copied().find(is_equal)
    }
}

/// A rule that comes under many hosts stands there once.
fn places_by_id<'m>(rules: &[&'m Arc<Rule>]) -> FxHashMap<&'m str, Vec<usize>> {
    let mut places: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (place, rule) in rules.iter().enumerate() {
        let known = places.entry(&rule.id).or_default();
        let is_known = |known: &usize| rules.get(*known).is_some_and(|one| Arc::ptr_eq(one, rule));
        if !known.iter().rev().any(is_known) {
            known.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use portcullis_message::HostPattern;
    use portcullis_model::Listener;

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
        let hosts = shared.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        let rules: Vec<_> = hosts.flat_map(|host| &host.rules).map(Arc::as_ptr).collect();
        let wanted = [&before[2], &before[1], &after[2], &after[3]].map(|rule| [rule, rule]);
        assert!(rules.into_iter().eq(wanted.concat().into_iter().map(Arc::as_ptr)));
    }
}
