//! Tables that were written by hand.

use std::sync::Arc;

use http::{HeaderMap, Method};
use portcullis_filters::{MatchedPath, Pattern};
use portcullis_message::HostPattern;
use portcullis_model::{Listener, PathMatch, RequestMatch, Rule, VirtualHost};

use crate::{Aspects, Outcome, Route, RouteQuery, RouteTable};

pub(crate) fn rule(number: usize, matches: Vec<RequestMatch>) -> Arc<Rule> {
    let rule = Rule::for_test(&format!("VirtualService/default/test/http[{number}]"));
    Arc::new(Rule { matches, ..rule })
}

pub(crate) fn listener(hosts: Vec<HostPattern>, virtual_hosts: Vec<VirtualHost>) -> Arc<Listener> {
    let virtual_hosts = virtual_hosts.into();
    Arc::new(Listener { hosts, virtual_hosts, ..Listener::for_test() })
}

fn path_rule(number: usize, path: &str) -> Arc<Rule> {
    let path = Some(PathMatch::Prefix(path.into()));
    rule(number, vec![RequestMatch { path, ..RequestMatch::default() }])
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn get<'a>(host: &'a str, path: &'a str, headers: &'a HeaderMap) -> RouteQuery<'a> {
    RouteQuery {
        host,
        scheme: "http",
        method: &Method::GET,
        path,
        query: None,
        headers,
        claims: None,
    }
}

#[test]
fn the_most_specific_virtual_host_takes_the_request_and_there_is_no_fallback() {
    let wide = VirtualHost { host: host("*"), rules: vec![path_rule(0, "/")] };
    let narrow = VirtualHost { host: host("a.com"), rules: vec![path_rule(1, "/a")] };
    let table = RouteTable::build(&[listener(vec![host("*")], vec![wide, narrow])]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_route(&get("b.com", "/b", &headers)).unwrap().rule_index, 0);
    assert_eq!(table.find_route(&get("a.com", "/a", &headers)).unwrap().rule_index, 1);
    let query = get("a.com", "/b", &headers);
    assert_eq!(table.find_route(&query), None);
    assert_eq!(
        table.consider(&query).why_not_found(&query).unwrap(),
        "no rule of the host `a.com` matches"
    );
}

#[test]
fn a_listener_of_a_narrower_host_takes_it_without_routes_too() {
    let wide = VirtualHost { host: host("*"), rules: vec![path_rule(0, "/")] };
    let table = RouteTable::build(&[
        listener(vec![host("*")], vec![wide]),
        listener(vec![host("a.com")], Vec::new()),
    ]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_listener("a.com"), Some(1));
    let query = get("a.com", "/", &headers);
    assert_eq!(table.find_route(&query), None);
    assert_eq!(
        table.consider(&query).why_not_found(&query).unwrap(),
        "the listener host `a.com` has no routes for the host `a.com`"
    );
}

#[test]
fn listeners_with_the_same_host_form_one_table_and_catch_alls_move_last() {
    let shared = path_rule(2, "/shared");
    let first = VirtualHost { host: host("a.com"), rules: vec![shared.clone(), path_rule(0, "/")] };
    let second = VirtualHost { host: host("a.com"), rules: vec![path_rule(1, "/one"), shared] };
    let table = RouteTable::build(&[
        listener(vec![host("a.com")], vec![first]),
        listener(vec![host("a.com")], vec![second]),
    ]);
    assert_eq!(table.rules().count(), 3);
    let headers = HeaderMap::new();
    let query = get("a.com", "/one", &headers);
    let route = table.find_route(&query).unwrap();
    assert_eq!(
        route,
        Route {
            listener: 0,
            rule_index: 2,
            matched: MatchedPath::Prefix(4),
            looks_at: Aspects::Line
        }
    );
    let considered = table.consider(&query);
    let outcomes: Vec<_> = considered.rules.iter().map(|each| each.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Lost("the path `/one` does not begin with `/shared`".into()),
            Outcome::Matched,
            Outcome::Lost(
                "would match, but VirtualService/default/test/http[1] (test.yaml:1:1) comes first"
                    .into()
            ),
        ]
    );
}

#[test]
fn a_rule_of_several_matches_says_why_each_failed() {
    let conditions = |path: &str| RequestMatch {
        path: Some(PathMatch::Exact(path.into())),
        ..RequestMatch::default()
    };
    let both = rule(0, vec![conditions("/a"), conditions("/b")]);
    let virtual_host = VirtualHost { host: host("*"), rules: vec![both] };
    let table = RouteTable::build(&[listener(vec![host("*")], vec![virtual_host])]);
    let headers = HeaderMap::new();
    assert_eq!(
        table.consider(&get("a.com", "/c", &headers)).rules[0].outcome,
        Outcome::Lost(
            "match[0]: the path `/c` is not `/a`; match[1]: the path `/c` is not `/b`".into()
        )
    );
}

#[test]
fn an_empty_table_takes_no_host() {
    let table = RouteTable::build(&[]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_route(&get("", "/", &headers)), None);
    assert_eq!(table.find_listener("a.com"), None);
}

#[test]
fn a_match_for_another_port_or_gateway_is_shown_and_never_taken() {
    let conditions = |port, gateways: &[&str]| RequestMatch {
        port,
        gateways: gateways.iter().map(|name| (*name).into()).collect(),
        ..RequestMatch::default()
    };
    let rules = vec![
        rule(0, vec![conditions(Some(81), &[])]),
        rule(1, vec![conditions(None, &["default/other"])]),
        rule(2, vec![conditions(Some(80), &["default/other", "default/gateway"])]),
        rule(3, Vec::new()),
    ];
    let table = RouteTable::build(&[listener(
        vec![host("*")],
        vec![VirtualHost { host: host("*"), rules }],
    )]);
    let headers = HeaderMap::new();
    let query = get("a.com", "/", &headers);
    assert_eq!(table.find_route(&query).unwrap().rule_index, 2);
    let outcomes = table.consider(&query).rules.into_iter().map(|each| each.outcome);
    let late = "would match, but VirtualService/default/test/http[2] (test.yaml:1:1) comes first";
    let lost = |why: &str| Outcome::Lost(why.into());
    assert!(outcomes.eq([
        lost("it is for the port 81 alone"),
        lost("it is for the Gateways default/other alone"),
        Outcome::Matched,
        lost(late),
    ]));
}

#[test]
fn a_catch_all_of_one_port_moves_behind_the_rules_of_another_listener() {
    let all_of_80 = RequestMatch { port: Some(80), ..RequestMatch::default() };
    let exact =
        RequestMatch { path: Some(PathMatch::Exact("/a".into())), ..RequestMatch::default() };
    let first = VirtualHost { host: host("a.com"), rules: vec![rule(0, vec![exact, all_of_80])] };
    let second = VirtualHost { host: host("a.com"), rules: vec![path_rule(1, "/")] };
    let third = VirtualHost { host: host("a.com"), rules: vec![path_rule(2, "/b")] };
    let table = RouteTable::build(
        &[first, second, third].map(|part| listener(vec![host("a.com")], vec![part])),
    );
    let headers = HeaderMap::new();
    let rule_of = |path| table.find_route(&get("a.com", path, &headers)).unwrap().rule_index;
    assert_eq!((rule_of("/a"), rule_of("/b"), rule_of("/c")), (0, 2, 0));
}

#[test]
fn a_virtual_host_that_did_not_change_is_taken_from_the_table_before() {
    let rules = [path_rule(0, "/a"), path_rule(1, "/b"), path_rule(2, "/c")];
    let virtual_host =
        |name: &str, rules: &[Arc<Rule>]| VirtualHost { host: host(name), rules: rules.to_vec() };
    let build = |second: &[Arc<Rule>], previous| {
        let virtual_hosts = vec![virtual_host("a.com", &rules), virtual_host("b.com", second)];
        RouteTable::build_with(&[listener(vec![host("*")], virtual_hosts)], previous)
    };
    let before = build(&rules[1..], None);
    let after = build(&rules[..1], Some(&before));
    let routes = |table: &RouteTable, name: &str| {
        let listener_host = table.hosts.find(name).unwrap();
        listener_host.virtual_hosts.find(name).unwrap().routes.clone()
    };
    assert!(Arc::ptr_eq(&routes(&before, "a.com"), &routes(&after, "a.com")));
    assert!(!Arc::ptr_eq(&routes(&before, "b.com"), &routes(&after, "b.com")));
}

#[test]
fn of_many_patterns_that_begin_alike_the_first_that_matches_wins() {
    let pattern = |number: usize| {
        let text = if number == 25 { "/.*".to_owned() } else { format!("/[a-z]+/{number}(/.*)?") };
        let path = Some(PathMatch::Pattern(Pattern::parse(&text).unwrap()));
        let method = RequestMatch::method(if number == 7 { &Method::PUT } else { &Method::GET });
        rule(number, vec![RequestMatch { path, ..method }])
    };
    let rules = (0..30).map(pattern).collect();
    let virtual_host = VirtualHost { host: host("*"), rules };
    let table = RouteTable::build(&[listener(vec![host("*")], vec![virtual_host])]);
    let headers = HeaderMap::new();
    let rule_of = |path| table.find_route(&get("a", path, &headers)).map(|route| route.rule_index);
    assert_eq!(rule_of("/shop/3"), Some(3));
    assert_eq!(rule_of("/shop/20/x"), Some(20));
    assert_eq!(rule_of("/shop/7"), Some(25), "for another method");
    assert_eq!(rule_of("/shop/27"), Some(25), "the catch-all comes first");
    assert_eq!(rule_of("*"), None);
}

#[test]
fn hosts_with_the_same_rules_share_them() {
    let rules: Vec<_> = (0..10).map(|n| path_rule(n, &format!("/{n}"))).collect();
    let others: Vec<_> = rules.iter().rev().cloned().collect();
    let hosts = [("a.com", &rules), ("b.com", &rules), ("c.com", &others), ("d.com", &rules)];
    let hosts = hosts.map(|(name, rules)| VirtualHost { host: host(name), rules: rules.clone() });
    let first = [listener(vec![host("*")], hosts.to_vec())];
    let table = RouteTable::build(&first);
    let found = |table: &RouteTable, name: &str| {
        let wide = table.hosts.find(name).unwrap();
        wide.virtual_hosts.find(name).unwrap().routes.clone()
    };
    let is_shared = |one, other| Arc::ptr_eq(&found(&table, one), &found(&table, other));
    assert!(is_shared("a.com", "b.com") && is_shared("a.com", "d.com"));
    assert!(!is_shared("a.com", "c.com"));
    let headers = HeaderMap::new();
    for name in ["a.com", "b.com", "c.com", "d.com"] {
        let found = table.find_route(&get(name, "/7", &headers)).unwrap();
        assert_eq!(*table.rule(found.rule_index).unwrap().id, *rules[7].id);
    }
    let again = RouteTable::build_with(&first, Some(&table));
    assert!(Arc::ptr_eq(&found(&again, "d.com"), &found(&table, "a.com")));
}
