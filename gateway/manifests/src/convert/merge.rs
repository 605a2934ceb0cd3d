//! Several VirtualServices on one host: their rules in one order, and which of them can never match.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Origin, Problem, RequestMatch, Rule, VirtualHost};

use super::bound::Bound;
use super::findings::{Findings, Spot};
use super::route_order::in_order;
use super::routes::PlacedRule;
use super::shadows::{Earlier, Loss};
use crate::codes;
use crate::kinds::RouteOrder;

/// Puts the rules of VirtualServices in order, once for each set of them.
#[derive(Default)]
pub(crate) struct Merger {
    /// By the addresses of the routes.
    done: HashMap<(RouteOrder, Vec<usize>), Rc<Merged>>,
}

/// The rules of some VirtualServices, in their order.
pub(crate) struct Merged {
    rules: Vec<Arc<Rule>>,
    /// The matches that lose requests, in the order of the rules.
    pub(crate) losers: Arc<[Loser]>,
    /// The hosts that have these rules.
    hosts: RefCell<HashMap<HostPattern, Arc<VirtualHost>>>,
}

/// A match that loses requests to an earlier one.
#[derive(Debug)]
pub(crate) struct Loser {
    /// Where it is written.
    origin: Origin,
    /// The address of the route that it is served through.
    member: usize,
    pub(crate) problem: Problem,
}

impl Loser {
    /// Where it is written, and through which VirtualService it is served.
    pub(crate) fn place(&self) -> (&str, u32, u32, usize) {
        (&self.origin.file, self.origin.line, self.origin.column, self.member)
    }
}

impl Merged {
    /// The virtual host of these rules; several servers have the same one.
    pub(crate) fn under(&self, host: &HostPattern) -> Arc<VirtualHost> {
        let mut hosts = self.hosts.borrow_mut();
        let make = || Arc::new(VirtualHost { host: host.clone(), rules: self.rules.clone() });
        hosts.entry(host.clone()).or_insert_with(make).clone()
    }
}

impl Merger {
    /// The rules of these routes, which are in creation order: one after the other, but for those that
    /// take every request, which come last; or the most particular first, where the Gateway asks for that.
    pub(crate) fn merge(&mut self, members: &[Arc<Bound>], order: RouteOrder) -> Rc<Merged> {
        let address = |bound: &Arc<Bound>| Arc::as_ptr(bound).addr();
        let key = (order, members.iter().map(address).collect());
        if let Some(merged) = self.done.get(&key) {
            return merged.clone();
        }
        let rules = members.iter().map(|bound| (address(bound), &bound.route.rules));
        let placed =
            rules.flat_map(|(member, rules)| rules.iter().map(move |r| (member, r.clone())));
        let ordered = in_order(placed.collect(), order);
        let merged = Rc::new(Merged {
            losers: losers(&ordered, order).into(),
            rules: ordered.into_iter().map(|(_, placed)| placed.rule).collect(),
            hosts: RefCell::default(),
        });
        self.done.insert(key, merged.clone());
        merged
    }
}

fn losers(ordered: &[(usize, PlacedRule)], order: RouteOrder) -> Vec<Loser> {
    let mut losers = Vec::new();
    let mut earlier = Earlier::default();
    let everything = [RequestMatch::default()];
    for (position, (member, placed)) in ordered.iter().enumerate() {
        let rule = &placed.rule;
        let matches =
            if rule.matches.is_empty() { &everything[..] } else { rule.matches.as_slice() };
        for (number, conditions) in matches.iter().enumerate().filter(|(_, each)| !each.never) {
            let is_other = |winner: usize| {
                ordered.get(winner).is_some_and(|(_, winner)| winner.object != placed.object)
            };
            let loss = earlier.loss(conditions, is_other);
            let at = conditions.origin.as_ref().unwrap_or(&rule.origin);
            if let Some((loss, winner)) = loss.and_then(|loss| winner_of(loss, position, ordered)) {
                let mut said = Findings::default();
                report((placed, number, at), (loss, winner), order, &mut said);
                let loser = |problem| Loser { origin: at.clone(), member: *member, problem };
                losers.extend(said.into_unsorted().into_iter().map(loser));
            }
        }
        matches.iter().for_each(|conditions| earlier.insert(conditions, position));
    }
    losers
}

/// A rule does not lose to itself.
fn winner_of(
    loss: Loss,
    own: usize,
    ordered: &[(usize, PlacedRule)],
) -> Option<(Loss, &PlacedRule)> {
    let (Loss::All(winner) | Loss::Some(winner)) = loss;
    let winning = ordered.get(winner).filter(|_| winner != own)?;
    Some((loss, &winning.1))
}

fn report(
    (placed, number, origin): (&PlacedRule, usize, &Origin),
    (loss, winner): (Loss, &PlacedRule),
    order: RouteOrder,
    findings: &mut Findings,
) {
    let by = format!("{} spec.http[{}] at {}", winner.object, winner.index, winner.rule.origin);
    let (code, message) = match loss {
        Loss::All(_) => (
            codes::SHADOWED_RULE,
            format!(
                "this never matches: the requests go to {by}, which comes before it on the same host"
            ),
        ),
        Loss::Some(_) => (
            codes::OVERLAPPING_RULE,
            format!(
                "some of its requests go to {by}, which comes before it on the same host and is no narrower"
            ),
        ),
    };
    let tried = match order {
        RouteOrder::Creation => "VirtualServices on one host are tried in creation order",
        RouteOrder::Specificity => {
            "the Gateway asks for the most particular first, among equals the older"
        }
    };
    let help = match loss {
        Loss::All(_) => format!("remove one of the two; {tried}"),
        Loss::Some(_) => format!("give one of the two a further condition; {tried}"),
    };
    let spot = Spot { object: &placed.object, field: placed.field(number), origin };
    findings.warning(code, spot, message, &help);
}
