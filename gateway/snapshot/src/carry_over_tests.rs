//! What of a snapshot is that of the one before.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_filters::HeaderOperations;
use portcullis_message::HostPattern;
use portcullis_model::{
    Action, Cluster, ClusterName, Destination, Listener, Mirror, Model, Rule, VirtualHost,
};
use portcullis_telemetry::Registry;

use crate::{Compiled, CompiledRule, Compiler, Snapshot};

fn cluster(name: &str, port: u16) -> Cluster {
    let settings = Cluster::for_test(&[(SocketAddr::from(([127, 0, 0, 1], port)), 1)]);
    Cluster { name: cluster_name(name), ..settings }
}

fn cluster_name(name: &str) -> ClusterName {
    ClusterName { host: name.into(), port: 80, subset: "".into() }
}

/// A rule that forwards to one cluster and sends copies to another.
fn rule(id: &str, (to, copies): (&str, &str), weight: u32) -> Rule {
    let destination = Destination {
        cluster: cluster_name(to),
        weight,
        request_headers: HeaderOperations::default(),
        response_headers: HeaderOperations::default(),
        change: None,
    };
    let action = Action::Forward {
        destinations: vec![destination],
        path_rewrite: None,
        authority_rewrite: None,
    };
    let mirrors = vec![Mirror { cluster: cluster_name(copies), parts_per_million: 1 }];
    Rule { action, mirrors, ..Rule::for_test(id) }
}

/// Each rule under a host of its own; each cluster as a name and a port.
fn model(rules: Vec<Rule>, clusters: &[(&str, u16)]) -> Model {
    let virtual_host = |(number, rule): (usize, Rule)| VirtualHost {
        host: HostPattern::parse(&format!("host-{number}.example.com")).unwrap(),
        rules: vec![Arc::new(rule)],
    };
    let virtual_hosts = rules.into_iter().enumerate().map(virtual_host).collect();
    let clusters = clusters.iter().map(|(name, port)| Arc::new(cluster(name, *port)));
    Model {
        listeners: vec![Listener { virtual_hosts, ..Listener::for_test() }],
        clusters: clusters.map(|cluster| (cluster.name.clone(), cluster)).collect(),
        ..Model::default()
    }
}

fn compile(compiler: &mut Compiler, model: Model, previous: Option<&Snapshot>) -> Snapshot {
    match compiler.compile(model, Vec::new(), previous) {
        Compiled::Changed(snapshot) => *snapshot,
        Compiled::Unchanged => panic!("it changed"),
    }
}

fn rules(snapshot: &Snapshot) -> Vec<&Arc<CompiledRule>> {
    snapshot.sockets.values().next().unwrap().rules.iter().collect()
}

fn kept(before: &Snapshot, after: &Snapshot) -> Vec<bool> {
    let pairs = rules(before).into_iter().zip(rules(after));
    pairs.map(|(before, after)| Arc::ptr_eq(before, after)).collect()
}

#[test]
fn rules_are_compiled_anew_where_they_or_their_clusters_changed() {
    let mut compiler = Compiler::new(Registry::new(), None);
    let written = |last| {
        vec![rule("a", ("x", "y"), 1), rule("b", ("z", "x"), 1), rule("c", ("z", "z"), last)]
    };
    let clusters = [("x", 1), ("y", 1), ("z", 1)];
    let first = compile(&mut compiler, model(written(1), &clusters), None);
    let mut next =
        |last, clusters: &[_]| compile(&mut compiler, model(written(last), clusters), Some(&first));

    assert_eq!(kept(&first, &next(2, &clusters)), [true, true, false]);
    assert_eq!(kept(&first, &next(1, &[("x", 2), ("y", 1), ("z", 1)])), [false, false, true]);
    assert_eq!(kept(&first, &next(1, &[("x", 1), ("z", 1)])), [false, true, true]);
    assert_eq!(kept(&first, &next(1, &[("x", 1), ("y", 1)])), [true, false, false]);
    let without = next(1, &[("x", 1), ("y", 1)]);
    assert!(rules(&without)[1].destinations[0].cluster.is_none());
    assert!(rules(&without)[2].mirrors.is_empty());
}

/// Every rule of every table is that of its number, with the clusters of its own snapshot.
fn check_tables(snapshot: &Snapshot) {
    for table in snapshot.sockets.values() {
        let numbers =
            table.rules.numbered().map(|(number, rule)| (number, Arc::as_ptr(&rule.rule)));
        let wanted = table.routes.rules().map(|(number, rule)| (number, Arc::as_ptr(rule)));
        assert!(numbers.eq(wanted));
        for destination in table.rules.iter().flat_map(|rule| &rule.destinations) {
            let cluster = snapshot.clusters.get(&destination.settings.cluster);
            assert_eq!(destination.cluster.as_ref().map(Arc::as_ptr), cluster.map(Arc::as_ptr));
        }
    }
}

#[test]
fn however_often_little_changes_every_rule_has_its_number_and_clusters() {
    let mut compiler = Compiler::new(Registry::new(), None);
    let written = |step: usize| {
        let of = |number: usize| {
            let changed = number % 97 == step % 97;
            let plugins = if number % 50 == 3 { vec![] } else { vec!["p"] };
            let plugin = |name| portcullis_model::ObjectId::new("WasmPlugin", "default", name);
            let plugins = if number.is_multiple_of(100) { plugins } else { Vec::new() };
            let plugins = plugins.into_iter().map(plugin).collect();
            Rule { plugins, ..rule(&format!("r{number}"), ("x", "y"), 1 + u32::from(changed)) }
        };
        (0..300 - step % 7).map(of).collect::<Vec<_>>()
    };
    let mut last = compile(&mut compiler, model(written(0), &[("x", 1), ("y", 1)]), None);
    for step in 1..20 {
        let port = if step % 5 == 0 { 2 } else { 1 };
        let next = model(written(step), &[("x", port), ("y", 1)]);
        let next = compile(&mut compiler, next, Some(&last));
        check_tables(&next);
        let before: Vec<_> = rules(&last).into_iter().map(Arc::as_ptr).collect();
        let stays = rules(&next).into_iter().filter(|rule| before.contains(&Arc::as_ptr(rule)));
        let stays = stays.count();
        assert!(port == 2 || step % 5 == 1 || stays > 200, "{step}: {stays}");
        last = next;
    }
}
