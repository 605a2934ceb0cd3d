//! The table against a naive reader of the rules, on generated tables.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_filters::MatchedPath;
use portcullis_message::HostPattern;
use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, Listener, PathCase, PathMatch, QueryMatch, RequestMatch,
    Rule, StringMatch,
};
use proptest::prelude::*;

use crate::generated::{requests, tables};
use crate::{Aspects, Outcome, RouteQuery, RouteTable};

/// What a naive reader of the rules answers: the route, found by trying everything.
fn oracle<'l>(
    listeners: &'l [Arc<Listener>],
    query: &RouteQuery,
) -> Option<(usize, &'l Arc<Rule>, MatchedPath)> {
    let takes = |pattern: &&HostPattern| pattern.matches(query.host);
    let (_, host) = listeners
        .iter()
        .flat_map(|listener| &listener.hosts)
        .filter(takes)
        .map(|host| (host.specificity(), host))
        .max_by_key(|(specificity, _)| *specificity)?;
    let sharing = || listeners.iter().enumerate().filter(|(_, each)| each.hosts.contains(host));
    let (first, _) = sharing().next()?;
    let virtual_hosts = || {
        sharing().flat_map(|(_, listener)| {
            listener.virtual_hosts.iter().map(move |virtual_host| (listener, virtual_host))
        })
    };
    let chosen = virtual_hosts()
        .map(|(_, each)| &each.host)
        .filter(|pattern| host.contains(pattern))
        .filter(takes)
        .max_by_key(|pattern| pattern.specificity())?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (listener, part) in virtual_hosts().filter(|(_, each)| each.host == *chosen) {
        let steps: Vec<_> = part.rules.iter().flat_map(|rule| steps(rule, listener)).collect();
        let catch_all = steps.iter().position(|(_, conditions)| takes_all(conditions));
        let (reached, rest) = steps.split_at(catch_all.unwrap_or(steps.len()));
        before.extend_from_slice(reached);
        after.extend_from_slice(rest);
    }
    let mut all = before.into_iter().chain(after);
    all.find_map(|(rule, conditions)| Some((first, rule, naive_match(&conditions, query)?)))
}

/// The matches of a rule that can hold on a listener; one without a condition for a rule that has none.
fn steps<'l>(rule: &'l Arc<Rule>, listener: &Listener) -> Vec<(&'l Arc<Rule>, RequestMatch)> {
    if rule.matches.is_empty() {
        return vec![(rule, RequestMatch::default())];
    }
    let mut steps: Vec<_> = rule.matches.iter().map(|each| (rule, each.clone())).collect();
    steps.retain(|(_, each)| {
        each.port.is_none_or(|port| port == listener.port)
            && (each.gateways.is_empty() || each.gateways.contains(&listener.gateway))
    });
    for (_, conditions) in &mut steps {
        (conditions.port, conditions.gateways) = (None, Vec::new());
    }
    steps
}

fn takes_all(conditions: &RequestMatch) -> bool {
    let any_path = match &conditions.path {
        None => true,
        Some(PathMatch::Prefix(text)) => &**text == "/",
        Some(PathMatch::Segments(text)) => text.is_empty(),
        Some(PathMatch::Pattern(pattern)) => [".*", "/.*"].contains(&pattern.as_str()),
        Some(PathMatch::Exact(_)) => false,
    };
    let bare = RequestMatch { path: None, path_case: PathCase::Sensitive, ..conditions.clone() };
    any_path && bare == RequestMatch::default()
}

fn text(wanted: &StringMatch, actual: &str) -> bool {
    match wanted {
        StringMatch::Exact(wanted) => **wanted == *actual,
        StringMatch::Prefix(prefix) => actual.strip_prefix(&**prefix).is_some(),
        StringMatch::Pattern(pattern) => pattern.matches(actual),
    }
}

fn naive_match(conditions: &RequestMatch, query: &RouteQuery) -> Option<MatchedPath> {
    let authority = |wanted: &StringMatch| {
        let plain = |text: &str| text.to_lowercase().split(':').next().unwrap_or("").to_owned();
        match wanted {
            StringMatch::Exact(wanted) => plain(wanted) == query.host,
            StringMatch::Prefix(prefix) => query.host.starts_with(&plain(prefix)),
            StringMatch::Pattern(pattern) => pattern.matches(query.host),
        }
    };
    let method = query.method.as_str();
    let others = !conditions.never
        && conditions.scheme.as_ref().is_none_or(|wanted| text(wanted, query.scheme))
        && conditions.method.as_ref().is_none_or(|wanted| text(wanted, method))
        && conditions.authority.as_ref().is_none_or(authority)
        && conditions.headers.iter().all(|each| has_header(each, query.headers))
        && !conditions.without_headers.iter().any(|each| has_unwanted(each, query.headers))
        && conditions.query.iter().all(|each| has_parameter(each, query.query))
        && conditions.claims.iter().all(|each| has_claim(each, query));
    others.then(|| path_part(conditions, query.path)).flatten()
}

fn path_part(conditions: &RequestMatch, path: &str) -> Option<MatchedPath> {
    let folded = |text: &str| match conditions.path_case {
        PathCase::Sensitive => text.to_owned(),
        PathCase::Ignored => text.to_ascii_lowercase(),
    };
    let actual = folded(path);
    match &conditions.path {
        None => Some(MatchedPath::Prefix(1)),
        Some(PathMatch::Exact(wanted)) => (folded(wanted) == actual).then_some(MatchedPath::Whole),
        Some(PathMatch::Prefix(prefix)) => {
            actual.strip_prefix(&folded(prefix)).map(|_| MatchedPath::Prefix(prefix.len()))
        }
        Some(PathMatch::Segments(prefix)) => {
            let rest = actual.strip_prefix(&folded(prefix))?;
            (rest.is_empty() || rest.starts_with('/')).then_some(MatchedPath::Prefix(prefix.len()))
        }
        Some(PathMatch::Pattern(pattern)) => pattern.matches(path).then_some(MatchedPath::Whole),
    }
}

fn has_header(header: &HeaderMatch, headers: &HeaderMap) -> bool {
    let values: Vec<_> =
        headers.get_all(&header.name).iter().map(|value| value.to_str().unwrap()).collect();
    match &header.value {
        None => !values.is_empty(),
        Some(wanted) => values.iter().any(|value| text(wanted, value)),
    }
}

fn has_unwanted(header: &HeaderMatch, headers: &HeaderMap) -> bool {
    match (&header.value, headers.contains_key(&header.name)) {
        (Some(wanted), false) => text(wanted, ""),
        _ => has_header(header, headers),
    }
}

fn has_parameter(parameter: &QueryMatch, query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or("&").split('&').map(|pair| match pair.find('=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, ""),
    });
    match pairs.find(|(name, _)| *name == &*parameter.name) {
        Some((_, value)) => parameter.value.as_ref().is_none_or(|wanted| text(wanted, value)),
        None => false,
    }
}

fn has_claim(claim: &ClaimMatch, query: &RouteQuery) -> bool {
    let fits = |value: &str| claim.value.as_ref().is_none_or(|wanted| text(wanted, value));
    let holds = query.claims.is_some_and(|claims| claims.fulfil(&claim.path, fits));
    holds == (claim.sense == ClaimSense::Holds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn find_route_equals_the_oracle(listeners in tables(), requests in proptest::collection::vec(requests(), 1..12)) {
        let table = RouteTable::build(&listeners);
        for request in &requests {
            let query = request.query();
            let found = table.find_route(&query);
            let found = found.map(|route| (route.listener, Arc::as_ptr(table.rule(route.rule_index).unwrap()), route.matched));
            let wanted = oracle(&listeners, &query);
            let wanted = wanted.map(|(listener, rule, matched)| (listener, Arc::as_ptr(rule), matched));
            prop_assert_eq!(found, wanted, "{:?}", request);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn consider_names_the_rule_that_find_route_picks(listeners in tables(), request in requests()) {
        let table = RouteTable::build(&listeners);
        let query = request.query();
        let found = table.find_route(&query);
        let considered = table.consider(&query);
        prop_assert_eq!(considered.route, found);
        prop_assert_eq!(considered.listener, table.find_listener(query.host));
        prop_assert_eq!(considered.why_not_found(&query).is_some(), found.is_none());
        let matched: Vec<_> = considered.rules.iter().filter(|each| each.outcome == Outcome::Matched).map(|each| each.rule_index).collect();
        prop_assert_eq!(matched, Vec::from_iter(found.map(|route| route.rule_index)));
        for each in &considered.rules {
            if let Outcome::Lost(why) = &each.outcome {
                prop_assert!(!why.is_empty());
                prop_assert!(found.is_some() || !why.contains("would match"), "{}", why);
            }
        }
    }

    #[test]
    fn what_a_host_does_not_look_at_changes_no_route(listeners in tables(), request in requests(), other in requests()) {
        let table = RouteTable::build(&listeners);
        let found = table.find_route(&request.query());
        let mut changed = request.clone();
        if found.is_some_and(|route| route.looks_at == Aspects::Line) {
            (changed.headers, changed.query, changed.claims) = (other.headers, other.query, other.claims);
        }
        prop_assert_eq!(table.find_route(&changed.query()), found);
    }

    #[test]
    fn a_table_built_from_the_one_before_is_the_same(before in tables(), listeners in tables(), requests in proptest::collection::vec(requests(), 1..12)) {
        let mut kept = listeners.clone();
        kept.truncate(1);
        kept.extend(before.iter().cloned());
        for listeners in [&listeners, &kept] {
            let table = RouteTable::build_with(listeners, Some(&RouteTable::build(&before)));
            let fresh = RouteTable::build(listeners);
            for request in &requests {
                prop_assert_eq!(table.find_route(&request.query()), fresh.find_route(&request.query()));
            }
        }
    }
}
