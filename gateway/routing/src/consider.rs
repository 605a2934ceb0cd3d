//! Why a request goes where it goes: every rule considered, and why each other one lost.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{RequestMatch, Rule};

use crate::matching::match_request;
use crate::mismatch::Mismatch;
use crate::table::VirtualHost;
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
    /// Its number, see [`RouteTable::rule`].
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
        Consideration {
            listener: listener_host.map(|host| host.listener),
            listener_host: listener_host.map(|host| host.pattern.clone()),
            virtual_host: listener_host
                .and_then(|host| host.virtual_hosts.find_pattern(query.host)),
            rules: virtual_host.map(|host| consider_rules(host, query)).unwrap_or_default(),
            route: self.find_route(query),
        }
    }
}

fn consider_rules(host: &VirtualHost, query: &RouteQuery) -> Vec<ConsideredRule> {
    let routes = &host.routes;
    let winner = routes.find(query).map(|(entry, _)| entry);
    let serving: HashSet<_> =
        routes.entries.iter().map(|entry| (entry.rule, entry.number)).collect();
    let considered = |((number, rule), &rule_index): ((u32, &Arc<Rule>), &u32)| {
        let outcome = match winner {
            Some(entry) if entry.rule == number => Outcome::Matched,
            _ => {
                let winner = winner.and_then(|entry| routes.rules.get(entry.rule as usize));
                Outcome::Lost(why_lost(rule, query, winner, |each| {
                    serving.contains(&(number, each))
                }))
            }
        };
        ConsideredRule { rule_index: rule_index as usize, outcome }
    };
    (0..).zip(&routes.rules).zip(host.numbers.iter()).map(considered).collect()
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

/// A rule loses when each of its matches fails or comes too late; one sentence tells of all of them. `serves` says
/// which of them can hold on the listener.
fn why_lost(
    rule: &Rule,
    query: &RouteQuery,
    winner: Option<&Arc<Rule>>,
    serves: impl Fn(u32) -> bool,
) -> String {
    let late = || match winner {
        Some(winner) => {
            format!("would match, but {} ({}) comes first", winner.id, winner.origin)
        }
        None => "would match".to_owned(),
    };
    let mut reasons = Vec::with_capacity(rule.matches.len());
    for (number, conditions) in (0..).zip(&rule.matches) {
        let mismatch = match match_request(conditions, query) {
            _ if !serves(number) => not_here(conditions),
            Ok(_) => return late(),
            Err(mismatch) => mismatch,
        };
        reasons.push(mismatch.sentence(query));
    }
    match reasons.len() {
        0 => late(),
        1 => reasons.concat(),
        _ => {
            let numbered = reasons.iter().enumerate();
            let numbered = numbered.map(|(number, reason)| format!("match[{number}]: {reason}"));
            numbered.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Why conditions cannot hold on the listener.
fn not_here(conditions: &RequestMatch) -> Mismatch<'_> {
    match conditions.port {
        _ if conditions.never => Mismatch::Never,
        Some(port) if conditions.gateways.is_empty() => Mismatch::Port(port),
        _ => Mismatch::Gateways(conditions),
    }
}
