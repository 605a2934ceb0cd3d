//! The order in which the matches of a virtual host are tried.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use portcullis_model::{Listener, RequestMatch, Rule, VirtualHost};
use rustc_hash::FxBuildHasher;

use crate::host_routes::{Entry, HostRoutes};

/// The rules of a virtual host that one listener brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'m> {
    pub(crate) listener: &'m Listener,
    pub(crate) virtual_host: &'m VirtualHost,
}

/// The rules of a virtual host in the order in which they are considered, and their matches that can hold here in
/// that in which they are tried.
pub(crate) struct Order {
    pub(crate) rules: Box<[Arc<Rule>]>,
    pub(crate) entries: Box<[Entry]>,
}

impl Order {
    /// What the parts have as one list: that of each in its order, from its first catch-all on behind those of the
    /// others, as Istio has it. What follows a catch-all is never reached in its own part, so it must not become
    /// reachable here.
    pub(crate) fn of(parts: &[Part<'_>]) -> Self {
        let mut reached = Vec::with_capacity(parts.iter().map(Part::match_count).sum());
        let mut last = Vec::new();
        for part in parts {
            part.sort(&mut reached, &mut last);
        }
        reached.append(&mut last);
        let mut numbering = Numbering::default();
        for step in reached {
            numbering.add(step);
        }
        Order { rules: numbering.rules.into(), entries: numbering.entries.into() }
    }

    /// Whether compiled rules are the very same ones in the same order.
    pub(crate) fn is_that_of(&self, routes: &HostRoutes) -> bool {
        self.entries == routes.entries
            && self.rules.len() == routes.rules.len()
            && self.rules.iter().zip(&routes.rules).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// One match on the way; `None` for a rule without conditions.
#[derive(Clone, Copy)]
struct Step<'m> {
    rule: &'m Arc<Rule>,
    number: u32,
    conditions: Option<&'m RequestMatch>,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It holds for some requests of the listener.
    Serves,
    /// It holds for none; it is shown, and costs nothing.
    NotHere,
}

impl<'m> Part<'m> {
    fn match_count(&self) -> usize {
        self.virtual_host.rules.iter().map(|rule| rule.matches.len().max(1)).sum()
    }

    fn sort(&self, reached: &mut Vec<Step<'m>>, last: &mut Vec<Step<'m>>) {
        let mut into = reached;
        let mut last = Some(last);
        for rule in &self.virtual_host.rules {
            for step in self.steps(rule) {
                if step.takes_everything()
                    && let Some(last) = last.take()
                {
                    into = last;
                }
                into.push(step);
            }
        }
    }

    fn steps(self, rule: &'m Arc<Rule>) -> impl Iterator<Item = Step<'m>> {
        let always =
            Step { rule, number: Entry::ALWAYS, conditions: None, verdict: Verdict::Serves };
        let step = move |(conditions, number): (&'m RequestMatch, u32)| Step {
            rule,
            number,
            conditions: Some(conditions),
            verdict: self.verdict(conditions),
        };
        let without = rule.matches.is_empty().then_some(always);
        without.into_iter().chain(rule.matches.iter().zip(0..).map(step))
    }

    /// The port and the Gateway are those of the listener: whether they fit is certain here.
    fn verdict(self, conditions: &RequestMatch) -> Verdict {
        let port_fits = conditions.port.is_none_or(|port| port == self.listener.port);
        let gateway_fits =
            conditions.gateways.is_empty() || conditions.gateways.contains(&self.listener.gateway);
        if port_fits && gateway_fits && !conditions.never {
            Verdict::Serves
        } else {
            Verdict::NotHere
        }
    }
}

impl Step<'_> {
    fn takes_everything(&self) -> bool {
        self.verdict == Verdict::Serves
            && self.conditions.is_none_or(RequestMatch::is_catch_all_where_bound)
    }
}

/// The rules by their first places. A rule that is bound to two of the listeners comes twice; of each of its
/// matches only the first place can win.
#[derive(Default)]
struct Numbering {
    rules: Vec<Arc<Rule>>,
    entries: Vec<Entry>,
    numbers: HashMap<*const Rule, u32, FxBuildHasher>,
    seen: HashSet<(u32, u32), FxBuildHasher>,
}

impl Numbering {
    fn add(&mut self, step: Step<'_>) {
        let rule = self.number(step.rule);
        if step.verdict == Verdict::NotHere || !self.seen.insert((rule, step.number)) {
            return;
        }
        self.entries.push(match step.conditions {
            Some(conditions) => Entry::new(rule, step.number, conditions),
            None => Entry::always(rule),
        });
    }

    fn number(&mut self, rule: &Arc<Rule>) -> u32 {
        let next = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(Arc::as_ptr(rule)).or_insert_with(|| {
            self.rules.push(Arc::clone(rule));
            next
        })
    }
}
