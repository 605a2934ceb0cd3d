//! Why a request goes where it goes: every rule considered, and why each other one lost.

use portcullis_message::HostPattern;
use portcullis_model::Rule;

use crate::matching::{match_request, match_rule};
use crate::{Route, RouteQuery, RouteTable};

/// How a route was chosen, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Consideration {
    /// The listener that takes the host: index into the listeners that the table was built from.
    pub listener: Option<usize>,
    /// The host of that listener that did.
    pub listener_host: Option<HostPattern>,
    /// The virtual host whose rules were tried.
    pub virtual_host: Option<HostPattern>,
    /// All rules of the virtual host, in the order in which they are tried.
    pub rules: Vec<ConsideredRule>,
    /// What [`RouteTable::find_route`] answers.
    pub route: Option<Route>,
}

/// One rule that was considered.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsideredRule {
    /// Index into [`RouteTable::rules`].
    pub rule_index: usize,
    /// Whether it takes the request.
    pub outcome: Outcome,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It takes the request.
    Matched,
    /// It does not; the sentence says why.
    Lost(String),
}

impl RouteTable {
    /// Chooses as [`RouteTable::find_route`] does, and says why.
    pub fn consider(&self, query: &RouteQuery) -> Consideration {
        let listener_host = self.hosts.find(query.host);
        let virtual_host = listener_host.and_then(|host| host.virtual_hosts.find(query.host));
        let mut consideration = Consideration {
            listener: listener_host.map(|host| host.listener),
            listener_host: listener_host.map(|host| host.pattern.clone()),
            virtual_host: virtual_host.map(|host| host.pattern.clone()),
            rules: Vec::new(),
            route: None,
        };
        let indices = virtual_host.map_or(&[][..], |host| &host.rules);
        for rule_index in indices.iter().map(|&index| index as usize) {
            self.consider_rule(rule_index, query, &mut consideration);
        }
        consideration
    }

    fn consider_rule(&self, rule_index: usize, query: &RouteQuery, so_far: &mut Consideration) {
        let Some(rule) = self.rules.get(rule_index) else { return };
        let winner = so_far.route.and_then(|route| self.rules.get(route.rule_index));
        let outcome = match (match_rule(rule, query), winner) {
            (Some(matched), None) => {
                let listener = so_far.listener.unwrap_or_default();
                so_far.route = Some(Route { listener, rule_index, matched });
                Outcome::Matched
            }
            (Some(_), Some(winner)) => Outcome::Lost(format!(
                "would match, but {} ({}) comes first",
                winner.id, winner.origin
            )),
            (None, _) => Outcome::Lost(why_lost(rule, query)),
        };
        so_far.rules.push(ConsideredRule { rule_index, outcome });
    }
}

impl Consideration {
    /// Why there is no route; `None` where there is one.
    pub fn why_not_found(&self, query: &RouteQuery) -> Option<String> {
        if self.route.is_some() {
            return None;
        }
        let host = query.host;
        Some(match (&self.listener_host, &self.virtual_host) {
            (None, _) => format!("no listener takes the host `{host}`"),
            (Some(listener), None) => {
                format!("the listener host `{listener}` has no routes for the host `{host}`")
            }
            (_, Some(virtual_host)) => format!("no rule of the host `{virtual_host}` matches"),
        })
    }
}

/// A rule loses when each of its matches fails; one sentence tells of all of them.
fn why_lost(rule: &Rule, query: &RouteQuery) -> String {
    let reasons = rule
        .matches
        .iter()
        .filter_map(|conditions| match_request(conditions, query).err())
        .map(|mismatch| mismatch.sentence(query));
    match rule.matches.len() {
        0 | 1 => reasons.collect(),
        _ => {
            let numbered: Vec<_> = reasons
                .enumerate()
                .map(|(index, reason)| format!("match[{index}]: {reason}"))
                .collect();
            numbered.join("; ")
        }
    }
}
