//! What finding a route costs, with 10 and with 10 000 hosts: the two should be the same.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, StatusCode};
use portcullis_filters::{DirectResponse, HeaderOperations};
use portcullis_message::HostPattern;
use portcullis_model::{
    Action, Listener, ListenerProtocol, Origin, PathMatch, RequestMatch, RequestOverrides,
    RequestPolicy, RetryPolicy, Rule, VirtualHost,
};
use portcullis_routing::{RouteQuery, RouteTable};

const RULES_OF_A_HOST: usize = 2;

fn route_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route_lookup");
    for hosts in [10, 10_000] {
        let table = RouteTable::build(&[Arc::new(listener(hosts))]);
        let host = format!("host-{}.example.com", hosts / 2);
        let headers = HeaderMap::new();
        let query = RouteQuery {
            host: &host,
            scheme: "http",
            method: &Method::GET,
            path: "/part-1/item",
            query: None,
            headers: &headers,
            claims: None,
        };
        table.find_route(&query).expect("the host has such a rule");
        group.bench_function(BenchmarkId::from_parameter(hosts), |bencher| {
            bencher.iter(|| table.find_route(black_box(&query)));
        });
    }
    group.finish();
}

fn listener(hosts: usize) -> Listener {
    let virtual_host = |number: usize| VirtualHost {
        host: HostPattern::parse(&format!("host-{number}.example.com")).expect("a host"),
        rules: (0..RULES_OF_A_HOST).map(|part| Arc::new(rule(number, part))).collect(),
    };
    Listener {
        origin: origin(),
        gateway: "default/bench".into(),
        server: "http".into(),
        port: 80,
        bind: None,
        protocol: ListenerProtocol::Http,
        hosts: vec![HostPattern::Any],
        https_redirect: false,
        tls: None,
        connections: Arc::default(),
        requests: RequestPolicy::default(),
        virtual_hosts: (0..hosts).map(virtual_host).collect(),
        tcp_routes: Vec::new(),
        plugins: Vec::new(),
    }
}

fn rule(host: usize, part: usize) -> Rule {
    let path = PathMatch::Prefix(format!("/part-{part}").into());
    Rule {
        id: format!("VirtualService/default/host-{host}/http[{part}]").into(),
        origin: origin(),
        matches: vec![RequestMatch { path: Some(path), ..RequestMatch::default() }],
        action: Action::DirectResponse(DirectResponse {
            status: StatusCode::OK,
            body: Bytes::new(),
        }),
        request_headers: HeaderOperations::default(),
        response_headers: HeaderOperations::default(),
        timeout: None,
        retries: RetryPolicy::default(),
        mirrors: Vec::new(),
        plugins: Vec::new(),
        filters: None,
        overrides: RequestOverrides::default(),
    }
}

fn origin() -> Origin {
    Origin { file: "bench.yaml".into(), line: 1, column: 1 }
}

criterion_group!(benches, route_lookup);
criterion_main!(benches);
