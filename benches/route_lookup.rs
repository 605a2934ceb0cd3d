//! What finding a route costs among 10, 1 000 and 100 000, over hosts and inside one: they should differ little.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use portcullis_filters::Pattern;
use portcullis_message::HostPattern;
use portcullis_model::{Listener, PathMatch, RequestMatch, Rule, VirtualHost};
use portcullis_routing::{RouteQuery, RouteTable};

/// A name, what a rule asks of the path, and how many rules are tried.
type Kind = (&'static str, fn(String) -> PathMatch, &'static [usize]);

/// What many rules of one host ask of the path.
const KINDS: [Kind; 4] = [
    ("prefixes", |path| PathMatch::Prefix(path.into()), &[10, 1_000, 100_000]),
    ("segments", |path| PathMatch::Segments(path.into()), &[10, 1_000, 100_000]),
    ("exacts", |path| PathMatch::Exact(path.into()), &[10, 1_000, 100_000]),
    ("patterns", |path| PathMatch::Pattern(pattern(&format!("{path}(/[a-z]+)?"))), &[10, 10_000]),
];

fn route_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route_lookup/hosts");
    for hosts in [10, 1_000, 100_000] {
        let table = table((0..hosts).map(|number| one_rule(host(number))).collect());
        measure(&mut group, hosts, &table, (&host(hosts / 2), "/part-000000"));
    }
    group.finish();
    for (kind, condition, sizes) in KINDS {
        let mut group = criterion.benchmark_group(format!("route_lookup/{kind}"));
        for &routes in sizes {
            let rules = (0..routes).map(|number| rule(condition(path(number)))).collect();
            let table = table(vec![VirtualHost { host: pattern_of(&host(0)), rules }]);
            measure(&mut group, routes, &table, (&host(0), &path(routes / 2)));
        }
        group.finish();
    }
}

/// What an outsider can do at worst: a long path that every one of a thousand nested prefixes begins.
fn worst_path(criterion: &mut Criterion) {
    let nested = |depth: usize| "/a".repeat(depth);
    let mut rules: Vec<_> =
        (1..=1_000).rev().map(|depth| refusing(PathMatch::Prefix(nested(depth).into()))).collect();
    rules.push(rule(PathMatch::Prefix("/".into())));
    let table = table(vec![VirtualHost { host: pattern_of(&host(0)), rules }]);
    let mut group = criterion.benchmark_group("route_lookup/nested");
    measure(&mut group, 1_000, &table, (&host(0), &nested(8_192)));
    group.finish();
}

fn measure(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    routes: usize,
    table: &RouteTable,
    (host, path): (&str, &str),
) {
    let headers = HeaderMap::new();
    let query = RouteQuery {
        host,
        scheme: "http",
        method: &Method::GET,
        path,
        query: None,
        headers: &headers,
        claims: None,
    };
    table.find_route(&query).expect("there is such a rule");
    group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
        bencher.iter(|| table.find_route(black_box(&query)));
    });
}

/// Names of one length, so that what is longer to read is no part of the difference.
fn host(number: usize) -> String {
    format!("host-{number:06}.example.com")
}

fn path(number: usize) -> String {
    format!("/part-{number:06}")
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn pattern_of(host: &str) -> HostPattern {
    HostPattern::parse(host).expect("a host")
}

fn one_rule(host: String) -> VirtualHost {
    let rules = vec![rule(PathMatch::Prefix(path(0).into()))];
    VirtualHost { host: pattern_of(&host), rules }
}

fn rule(path: PathMatch) -> Arc<Rule> {
    asking(RequestMatch { path: Some(path), ..RequestMatch::default() })
}

/// One that also asks for a method that nobody uses.
fn refusing(path: PathMatch) -> Arc<Rule> {
    asking(RequestMatch { path: Some(path), ..RequestMatch::method(&Method::PATCH) })
}

fn asking(conditions: RequestMatch) -> Arc<Rule> {
    let rule = Rule::for_test("VirtualService/default/bench/http[0]");
    Arc::new(Rule { matches: vec![conditions], ..rule })
}

fn table(virtual_hosts: Vec<VirtualHost>) -> RouteTable {
    let virtual_hosts = virtual_hosts.into();
    RouteTable::build(&[Arc::new(Listener { virtual_hosts, ..Listener::for_test() })])
}

criterion_group!(benches, route_lookup, worst_path);
criterion_main!(benches);
