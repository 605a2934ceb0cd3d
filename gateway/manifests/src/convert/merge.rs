//! Several VirtualServices on one host: their rules in one order, and which of them can never match.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::{PathMatch, RequestMatch, Rule, StringMatch};

use super::findings::{Findings, Spot};
use super::routes::{PlacedRule, Route};
use crate::codes;

/// Puts the rules of VirtualServices in order, once for each set of them.
pub(crate) struct Merger<'m> {
    routes: &'m [Route],
    done: HashMap<Vec<usize>, Arc<[Arc<Rule>]>>,
    /// The matches reported already: a rule and which of its matches.
    reported: HashSet<(*const Rule, usize)>,
}

impl<'m> Merger<'m> {
    /// For these routes.
    pub(crate) fn new(routes: &'m [Route]) -> Self {
        Merger { routes, done: HashMap::new(), reported: HashSet::new() }
    }

    /// The rules of these routes, which are in creation order: one after the other, but for those that
    /// take every request, which come last.
    pub(crate) fn merge(&mut self, members: &[usize], findings: &mut Findings) -> Arc<[Arc<Rule>]> {
        if let Some(rules) = self.done.get(members) {
            return rules.clone();
        }
        let routes = self.routes;
        let placed = members
            .iter()
            .filter_map(|index| routes.get(*index))
            .flat_map(|route| route.rules.iter().map(move |rule| (route, rule)));
        let (last, mut ordered): (Vec<_>, Vec<_>) =
            placed.partition(|(_, placed)| placed.rule.is_catch_all());
        ordered.extend(last);
        self.find_shadowed(&ordered, findings);
        let rules: Arc<[Arc<Rule>]> =
            ordered.iter().map(|(_, placed)| placed.rule.clone()).collect();
        self.done.insert(members.to_vec(), rules.clone());
        rules
    }

    fn find_shadowed(&mut self, ordered: &[(&Route, &PlacedRule)], findings: &mut Findings) {
        let mut earlier = Earlier::default();
        let everything = [RequestMatch::default()];
        for (position, (route, placed)) in ordered.iter().enumerate() {
            let rule = &placed.rule;
            let matches =
                if rule.matches.is_empty() { &everything[..] } else { rule.matches.as_slice() };
            for (number, condition) in matches.iter().enumerate() {
                if condition.never {
                    continue;
                }
                let winner = earlier.winner(condition).filter(|winner| *winner != position);
                let winner = winner.and_then(|winner| ordered.get(winner));
                if let Some((owner, winner)) = winner
                    && self.reported.insert((Arc::as_ptr(rule), number))
                {
                    report(route, placed, number, (owner, winner), findings);
                }
                earlier.insert(condition, position);
            }
        }
    }
}

fn report(
    route: &Route,
    placed: &PlacedRule,
    number: usize,
    winner: (&Route, &PlacedRule),
    findings: &mut Findings,
) {
    let condition = placed.rule.matches.get(number);
    let index = placed.index;
    let field = match condition {
        Some(_) => format!("spec.http[{index}].match[{number}]"),
        None => format!("spec.http[{index}]"),
    };
    let origin = condition.and_then(|condition| condition.origin.as_ref());
    let origin = origin.unwrap_or(&placed.rule.origin);
    let (owner, winning) = winner;
    let message = format!(
        "this never matches: the requests go to {} spec.http[{}] at {}, which comes before it on the same host",
        owner.service.metadata.id, winning.index, winning.rule.origin
    );
    let help = "remove one of the two; VirtualServices on one host are tried in creation order";
    let spot = Spot { object: &route.service.metadata.id, field, origin };
    findings.warning(codes::SHADOWED_RULE, spot, message, help);
}

/// What the rules so far take, by what asks for it. Positions are those of rules.
#[derive(Default)]
struct Earlier<'e> {
    everything: Option<usize>,
    /// Matches on the path alone.
    exact: HashMap<&'e str, usize>,
    prefixes: HashMap<&'e str, usize>,
    prefix_lengths: BTreeSet<usize>,
    /// Matches on more than the path, in a form that is equal where they are.
    whole: HashMap<String, usize>,
}

impl<'e> Earlier<'e> {
    /// The rule that takes everything that a condition asks for.
    fn winner(&self, condition: &RequestMatch) -> Option<usize> {
        self.everything
            .or_else(|| self.by_path(condition.path.as_ref()?))
            .or_else(|| self.whole.get(&key(condition)?).copied())
    }

    fn by_path(&self, path: &PathMatch) -> Option<usize> {
        let text: &str = match path {
            PathMatch::Exact(text) => {
                if let Some(winner) = self.exact.get(&**text) {
                    return Some(*winner);
                }
                text
            }
            PathMatch::Prefix(text) => text,
            PathMatch::Segments(_) | PathMatch::Pattern(_) => return None,
        };
        let lengths = self.prefix_lengths.range(..=text.len());
        lengths.filter_map(|length| self.prefixes.get(text.get(..*length)?)).copied().min()
    }

    fn insert(&mut self, condition: &'e RequestMatch, position: usize) {
        if condition.is_catch_all() {
            self.everything.get_or_insert(position);
        } else if let Some(key) = key(condition) {
            self.whole.entry(key).or_insert(position);
        } else if let Some(PathMatch::Exact(text)) = &condition.path {
            self.exact.entry(text).or_insert(position);
        } else if let Some(PathMatch::Prefix(text)) = &condition.path {
            self.prefixes.entry(text).or_insert(position);
            self.prefix_lengths.insert(text.len());
        }
    }
}

/// A text that is equal for equal conditions; `None` for one on the path alone.
fn key(condition: &RequestMatch) -> Option<String> {
    let RequestMatch { path, method, authority, headers, .. } = condition;
    if condition.is_on_path_alone() {
        return None;
    }
    let mut fields: Vec<String> = headers
        .iter()
        .map(|header| format!("{}={:?}", header.name, header.value.as_ref().map(text)))
        .collect();
    fields.sort();
    let (method, authority) = (method.as_ref().map(text), authority.as_ref().map(text));
    let RequestMatch { path_case, scheme, without_headers, query, claims, port, gateways, .. } =
        condition;
    let rest = format!(
        "{path_case:?} {scheme:?} {without_headers:?} {query:?} {claims:?} {port:?} {gateways:?}"
    );
    Some(format!("{path:?} {method:?} {authority:?} {fields:?} {rest}"))
}

fn text(condition: &StringMatch) -> (char, &str) {
    match condition {
        StringMatch::Exact(text) => ('=', text),
        StringMatch::Prefix(text) => ('^', text),
        StringMatch::Pattern(pattern) => ('~', pattern.as_str()),
    }
}
