//! Several VirtualServices on one host: their rules in one order, and which of them can never match.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::{Origin, RequestMatch, Rule};

use super::findings::{Findings, Spot};
use super::route_order::in_order;
use super::routes::{PlacedRule, Route};
use super::shadows::{Earlier, Loss};
use crate::codes;
use crate::kinds::RouteOrder;

/// Puts the rules of VirtualServices in order, once for each set of them.
pub(crate) struct Merger<'m> {
    routes: &'m [Route],
    done: HashMap<(RouteOrder, Vec<usize>), Rules>,
    /// The matches reported already: the place that one is written at, in this order.
    reported: HashSet<(RouteOrder, Place)>,
}

/// The rules of a host, in their order.
type Rules = Arc<[Arc<Rule>]>;

/// Where a match or rule is written, and which host's VirtualService it is served through.
type Place = (Arc<str>, u32, u32, usize);

impl<'m> Merger<'m> {
    /// For these routes.
    pub(crate) fn new(routes: &'m [Route]) -> Self {
        Merger { routes, done: HashMap::new(), reported: HashSet::new() }
    }

    /// The rules of these routes, which are in creation order: one after the other, but for those that
    /// take every request, which come last; or the most particular first, where the Gateway asks for that.
    pub(crate) fn merge(
        &mut self,
        members: &[usize],
        order: RouteOrder,
        findings: &mut Findings,
    ) -> Rules {
        let key = (order, members.to_vec());
        if let Some(rules) = self.done.get(&key) {
            return rules.clone();
        }
        let placed = members
            .iter()
            .filter_map(|index| Some((*index, self.routes.get(*index)?)))
            .flat_map(|(index, route)| route.rules.iter().map(move |rule| (index, rule.clone())));
        let ordered = in_order(placed.collect(), order);
        self.find_losers(&ordered, order, findings);
        let rules: Rules = ordered.iter().map(|(_, placed)| placed.rule.clone()).collect();
        self.done.insert(key, rules.clone());
        rules
    }

    fn find_losers(
        &mut self,
        ordered: &[(usize, PlacedRule)],
        order: RouteOrder,
        findings: &mut Findings,
    ) {
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
                let place = (at.file.clone(), at.line, at.column, *member);
                if let Some((loss, winner)) =
                    loss.and_then(|loss| winner_of(loss, position, ordered))
                    && self.reported.insert((order, place))
                {
                    report((placed, number, at), (loss, winner), order, findings);
                }
            }
            matches.iter().for_each(|conditions| earlier.insert(conditions, position));
        }
    }
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
