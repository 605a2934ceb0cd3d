//! Looks up routes, for a tool that counts instructions: `lookup_cost KIND ROUTES TIMES`, of the kind `hosts`,
//! `prefixes`, `segments`, `exacts` or `patterns`.
#![allow(clippy::expect_used, reason = "it is run by a script, which shows what it says")]

use std::env;
use std::hint::black_box;
use std::sync::Arc;

use http::{HeaderMap, Method};
use portcullis_filters::Pattern;
use portcullis_message::HostPattern;
use portcullis_model::{Listener, PathMatch, RequestMatch, Rule, VirtualHost};
use portcullis_routing::{RouteQuery, RouteTable};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, routes, times] = arguments.as_slice() else { return };
    let routes: usize = routes.parse().expect("a number of routes");
    let times: usize = times.parse().expect("a number of times");
    let table = RouteTable::build(&[Arc::new(listener(kind, routes))]);
    let middle = routes / 2;
    let (host, path) = match kind.as_str() {
        "hosts" => (host(middle), format!("{}/item", path(0))),
        "exacts" => (host(0), path(middle)),
        _ => (host(0), format!("{}/item", path(middle))),
    };
    let headers = HeaderMap::new();
    let query = RouteQuery {
        host: &host,
        scheme: "http",
        method: &Method::GET,
        path: &path,
        query: None,
        headers: &headers,
        claims: None,
    };
    assert_eq!(table.find_route(&query).map(|route| route.rule_index), Some(middle));
    look_up(&table, &query, times);
}

/// What is counted.
#[inline(never)]
fn look_up(table: &RouteTable, query: &RouteQuery<'_>, times: usize) {
    for _ in 0..times {
        black_box(table.find_route(black_box(query)));
    }
}

/// Names of one length, so that what is longer to read is no part of the difference.
fn host(number: usize) -> String {
    format!("host-{number:06}.example.com")
}

fn path(number: usize) -> String {
    format!("/part-{number:06}")
}

fn listener(kind: &str, routes: usize) -> Listener {
    let one_each = |number| VirtualHost {
        host: HostPattern::parse(&host(number)).expect("a host"),
        rules: vec![Arc::new(rule(PathMatch::Prefix(path(0).into())))],
    };
    let of_kind = |number| {
        let path = path(number);
        Arc::new(rule(match kind {
            "prefixes" => PathMatch::Prefix(path.into()),
            "segments" => PathMatch::Segments(path.into()),
            "exacts" => PathMatch::Exact(path.into()),
            "patterns" => {
                PathMatch::Pattern(Pattern::parse(&format!("{path}/[a-z]+")).expect("a pattern"))
            }
            other => unreachable!("no kind is called {other}"),
        }))
    };
    let virtual_hosts = match kind {
        "hosts" => (0..routes).map(one_each).collect(),
        _ => {
            let host = HostPattern::parse(&host(0)).expect("a host");
            vec![VirtualHost { host, rules: (0..routes).map(of_kind).collect() }].into()
        }
    };
    Listener { virtual_hosts, ..Listener::for_test() }
}

fn rule(path: PathMatch) -> Rule {
    let matches = vec![RequestMatch { path: Some(path), ..RequestMatch::default() }];
    Rule { matches, ..Rule::for_test("VirtualService/default/bench/http[0]") }
}
