//! What compiling routes costs, the first time and when one host changed, and how much memory each takes.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::fs;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis_filters::HeaderOperations;
use portcullis_message::HostPattern;
use portcullis_model::{
    Action, Cluster, Destination, Listener, Model, PathMatch, RequestMatch, Rule, VirtualHost,
};
use portcullis_snapshot::{Compiled, Compiler, Snapshot};
use portcullis_telemetry::Registry;

fn route_compile(criterion: &mut Criterion) {
    say_memory();
    let mut group = criterion.benchmark_group("route_compile");
    group.sample_size(10);
    for (routes, hosts) in [(10_000, 10_000), (10_000, 1), (100_000, 100_000), (100_000, 1)] {
        let name = format!("{routes} of {hosts}");
        let model = model(routes, hosts);
        group.bench_function(BenchmarkId::new("first", &name), |bencher| {
            let compile = |model| compile(&mut compiler(), model, None);
            bencher.iter_batched(|| model.clone(), compile, BatchSize::PerIteration);
        });
        let mut compiler = compiler();
        let before = compile(&mut compiler, model, None);
        let changed = || one_changed(self::model(routes, hosts));
        group.bench_function(BenchmarkId::new("one_host_changed", &name), |bencher| {
            bencher.iter_batched(
                changed,
                |model| compile(&mut compiler, model, Some(&before)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Everything compiled from a rule; not the rule itself, which is the model's.
fn say_memory() {
    for (routes, hosts) in [(100_000, 100_000), (100_000, 1)] {
        let model = model(routes, hosts);
        let mut compiler = compiler();
        let before = resident();
        let copy = model.clone();
        let with_copy = resident();
        let snapshot = compile(&mut compiler, copy, None);
        let each = resident().saturating_sub(with_copy) / routes as u64;
        let copied = with_copy.saturating_sub(before) / routes as u64;
        println!(
            "{routes} routes of {hosts} hosts: {each} bytes for each route ({copied} the list of a host)"
        );
        drop(snapshot);
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the resident pages") * 4096
}

fn compiler() -> Compiler {
    Compiler::new(Registry::new(), None)
}

fn compile(compiler: &mut Compiler, model: Model, previous: Option<&Snapshot>) -> Box<Snapshot> {
    match compiler.compile(model, Vec::new(), previous) {
        Compiled::Changed(snapshot) => snapshot,
        Compiled::Unchanged => unreachable!("it is another model"),
    }
}

fn model(routes: usize, hosts: usize) -> Model {
    let cluster = Cluster::for_test(&[]);
    let virtual_host = |host| VirtualHost {
        host: HostPattern::parse(&format!("host-{host}.example.com")).expect("a host"),
        rules: (0..routes / hosts).map(|number| rule(host, number, &cluster)).collect(),
    };
    let virtual_hosts = (0..hosts).map(virtual_host).collect();
    Model {
        listeners: vec![Listener { virtual_hosts, ..Listener::for_test() }],
        clusters: [(cluster.name.clone(), Arc::new(cluster))].into(),
        ..Model::default()
    }
}

fn rule(host: usize, number: usize, cluster: &Cluster) -> Arc<Rule> {
    let path = PathMatch::Prefix(format!("/part-{number}").into());
    let destination = Destination {
        cluster: cluster.name.clone(),
        weight: 1,
        request_headers: HeaderOperations::default(),
        response_headers: HeaderOperations::default(),
        change: None,
    };
    let rule = Rule::for_test(&format!("VirtualService/default/host-{host}/http[{number}]"));
    let matches = vec![RequestMatch { path: Some(path), ..RequestMatch::default() }];
    let action = Action::Forward {
        destinations: vec![destination],
        path_rewrite: None,
        authority_rewrite: None,
    };
    Arc::new(Rule { matches, action, ..rule })
}

/// The same, read anew, but for the last rule.
fn one_changed(mut model: Model) -> Model {
    let hosts = model.listeners.first_mut().map(|listener| &mut listener.virtual_hosts);
    let rules = hosts.and_then(|hosts| hosts.last_mut()).map(|host| &mut host.rules);
    if let Some(rule) = rules.and_then(|rules| rules.last_mut()) {
        *rule = Arc::new(Rule::for_test(&rule.id));
    }
    model
}

criterion_group!(benches, route_compile);
criterion_main!(benches);
