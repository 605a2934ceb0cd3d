//! What compiling routes costs, the first time and when one host changed, and how much memory each takes.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(clippy::indexing_slicing, reason = "a wrong size has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::process::{self, Command};
use std::sync::Arc;
use std::{env, fs};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis_filters::HeaderOperations;
use portcullis_message::HostPattern;
use portcullis_model::{
    Action, Cluster, Destination, Listener, Model, PathMatch, RequestMatch, Rule, VirtualHost,
};
use portcullis_snapshot::{Compiled, Compiler, Snapshot};
use portcullis_telemetry::Registry;

/// Has the process measure memory alone: which of the sizes.
const MEASURED: &str = "ROUTE_COMPILE_MEASURED";

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

/// Says what is compiled from a rule takes; the rule itself is the model's. Each size has a process of its own, which
/// has nothing left over from another.
fn say_memory() {
    let sizes = [(100_000, 100_000), (100_000, 1), (10_000, 1_000)];
    if let Ok(number) = env::var(MEASURED) {
        let (routes, hosts) = sizes[number.parse::<usize>().expect("a number")];
        let model = model(routes, hosts);
        let mut compiler = compiler();
        let before = resident();
        let snapshot = compile(&mut compiler, model, None);
        let each = resident().saturating_sub(before) / routes as u64;
        println!("{routes} routes of {hosts} hosts: {each} bytes for each route");
        drop(snapshot);
        process::exit(0);
    }
    for number in 0..sizes.len() {
        let mut again = Command::new(env::current_exe().expect("this program"));
        again.arg("--bench").env(MEASURED, number.to_string()).status().expect("it runs again");
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
    let Some(listener) = model.listeners.first_mut() else { return model };
    if let Some(last) = listener.virtual_hosts.iter().last() {
        let mut changed = VirtualHost::clone(last);
        if let Some(rule) = changed.rules.last_mut() {
            *rule = Arc::new(Rule::for_test(&rule.id));
        }
        let changes = [(changed.host.clone(), Some(Arc::new(changed)))].into();
        listener.virtual_hosts = listener.virtual_hosts.with(&changes);
    }
    model
}

criterion_group!(benches, route_compile);
criterion_main!(benches);
