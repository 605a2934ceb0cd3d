//! Compiling the rules of a socket's table: those that are the same in memory as before are taken over, and where hardly
//! any changed the others are not even looked at.

use std::sync::{Arc, OnceLock};

use portcullis_model::Rule;
use portcullis_routing::{RouteTable, Slots, map_at_once};
use rustc_hash::FxHashMap;

use crate::compiled_rule::CompiledRule;
use crate::listener_chains::ListenerChains;
use crate::parts::Parts;

/// Fewer rules are compiled by one thread.
const FEW_RULES: usize = 5000;

/// What compiled rules need beside their own: their clusters and buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    /// All of those that there were are there, and the same.
    AsBefore,
    Changed,
}

/// The rules of a table before.
#[derive(Clone, Copy)]
pub(crate) struct Before<'b> {
    pub(crate) routes: &'b RouteTable,
    pub(crate) rules: &'b Slots<Arc<CompiledRule>>,
    /// The numbers of those that have plugins.
    pub(crate) plugged: &'b [usize],
}

/// The compiled rules of other tables: of the sockets before, and of those built so far, for most Gateways have the
/// same routes on two. They are found by the addresses of what they were compiled from.
pub(crate) struct KnownRules<'k> {
    before: Vec<Before<'k>>,
    surroundings: Surroundings,
    /// Made when it is asked first.
    of_before: OnceLock<FxHashMap<usize, &'k Arc<CompiledRule>>>,
    of_now: FxHashMap<usize, Arc<CompiledRule>>,
}

impl<'k> KnownRules<'k> {
    /// Those of the tables before.
    pub(crate) fn of_tables(
        before: impl Iterator<Item = Before<'k>>,
        surroundings: Surroundings,
    ) -> Self {
        let (of_before, of_now) = (OnceLock::new(), FxHashMap::default());
        KnownRules { before: before.collect(), surroundings, of_before, of_now }
    }

    fn learn<'r>(&mut self, rules: impl Iterator<Item = &'r Arc<CompiledRule>>) {
        self.of_now.extend(rules.map(|rule| (address(&rule.rule), Arc::clone(rule))));
    }

    fn of(&self, rule: &Arc<Rule>) -> Option<&Arc<CompiledRule>> {
        let address = address(rule);
        let of_before = || {
            let rules = self.before.iter().flat_map(|table| table.rules);
            rules.map(|rule| (self::address(&rule.rule), rule)).collect()
        };
        let now = self.of_now.get(&address);
        now.or_else(|| self.of_before.get_or_init(of_before).get(&address).copied())
    }
}

fn address(rule: &Arc<Rule>) -> usize {
    Arc::as_ptr(rule).addr()
}

/// What the rules of a table are compiled with.
pub(crate) struct RuleCompiler<'c> {
    pub(crate) routes: &'c RouteTable,
    pub(crate) chains: &'c ListenerChains<'c>,
    pub(crate) parts: &'c Parts<'c>,
}

impl RuleCompiler<'_> {
    /// The rules by their numbers in `routes`, and which of them have plugins.
    pub(crate) fn compile(
        &self,
        previous: Option<Before<'_>>,
        known: &mut KnownRules<'_>,
    ) -> (Slots<Arc<CompiledRule>>, Vec<usize>) {
        let as_before = previous.filter(|_| known.surroundings == Surroundings::AsBefore);
        as_before.and_then(|before| self.renew(before, known)).unwrap_or_else(|| self.all(known))
    }

    /// Compiles what is otherwise than before; `None` where that is much.
    fn renew(
        &self,
        before: Before<'_>,
        known: &mut KnownRules<'_>,
    ) -> Option<(Slots<Arc<CompiledRule>>, Vec<usize>)> {
        let mut touched: Vec<usize> = self.routes.touched_since(before.routes).collect();
        if touched.len() > FEW_RULES {
            return None;
        }
        touched.extend(before.plugged);
        touched.sort_unstable();
        touched.dedup();
        let mut rules = before.rules.clone();
        let mut new = Vec::new();
        for &number in &touched {
            let rule = self.routes.rule(number);
            let is_same = |known: &Arc<CompiledRule>| {
                rule.is_some_and(|rule| Arc::ptr_eq(&known.rule, rule) && rule.plugins.is_empty())
            };
            if rules.get(number).map_or(rule.is_none(), is_same) {
                continue;
            }
            let compiled = rule.map(|rule| {
                let known = known.of_now.get(&address(rule));
                known
                    .filter(|known| known.is_still_right(self.parts))
                    .cloned()
                    .unwrap_or_else(|| Arc::new(CompiledRule::build(rule, self.chains, self.parts)))
            });
            new.extend(compiled.clone());
            rules.put_as(number, compiled);
        }
        known.learn(new.iter());
        let has_plugins =
            |number: &usize| rules.get(*number).is_some_and(|rule| !rule.rule.plugins.is_empty());
        touched.retain(has_plugins);
        Some((rules, touched))
    }

    fn all(&self, known: &mut KnownRules<'_>) -> (Slots<Arc<CompiledRule>>, Vec<usize>) {
        let all: Vec<(usize, &Arc<Rule>)> = self.routes.rules().collect();
        let compiled = map_at_once(&all, FEW_RULES, |(_, rule)| {
            let known = known.of(rule).filter(|known| known.is_still_right(self.parts));
            let compile = || Arc::new(CompiledRule::build(rule, self.chains, self.parts));
            known.cloned().unwrap_or_else(compile)
        });
        known.learn(compiled.iter());
        let mut rules = Slots::default();
        for ((number, _), rule) in all.iter().zip(compiled) {
            rules.put_as(*number, Some(rule));
        }
        let plugged = all.iter().filter(|(_, rule)| !rule.plugins.is_empty());
        (rules, plugged.map(|(number, _)| *number).collect())
    }
}
