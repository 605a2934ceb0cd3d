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

fn rules(snapshot: &Snapshot) -> &[Arc<CompiledRule>] {
    &snapshot.sockets.values().next().unwrap().rules
}

fn kept(before: &Snapshot, after: &Snapshot) -> Vec<bool> {
    let pairs = rules(before).iter().zip(rules(after));
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
