//! `loadBalancer` of a DestinationRule.

use std::time::Duration;

use portcullis_model::{
    AffinityCookie, Balancer, Distribute, Failover, HashKey, LocalityBalancing, Ring, Warmup,
};

use super::problems;
use super::upstreams::{cluster_under, each_is_said, under};

fn balancer(settings: &str) -> Balancer {
    cluster_under(&format!("{{loadBalancer: {settings}}}")).balancing.balancer.clone()
}

fn hash(settings: &str) -> (HashKey, Ring) {
    match balancer(&format!("{{consistentHash: {settings}}}")) {
        Balancer::Hash { key, ring } => (key, ring),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_simple_balancer_is_read() {
    for (word, wanted) in [
        ("LEAST_REQUEST", Balancer::LeastRequest),
        ("UNSPECIFIED", Balancer::LeastRequest),
        ("ROUND_ROBIN", Balancer::RoundRobin),
        ("RANDOM", Balancer::Random),
        ("PASSTHROUGH", Balancer::Passthrough),
    ] {
        assert_eq!(balancer(&format!("{{simple: {word}}}")), wanted);
    }
    assert_eq!(balancer("{}"), Balancer::LeastRequest);
}

#[test]
fn every_key_of_a_consistent_hash_is_read() {
    let header = HashKey::Header(http::header::HeaderName::from_static("x-user"));
    assert_eq!(hash("{httpHeaderName: X-User}"), (header, Ring::Ring(1024)));
    assert_eq!(hash("{useSourceIp: true}").0, HashKey::SourceAddress);
    assert_eq!(hash("{httpQueryParameterName: id}").0, HashKey::Query("id".into()));
    let cookie = |ttl| AffinityCookie {
        name: "user".into(),
        path: Some("/a".into()),
        ttl,
        attributes: vec![("SameSite".into(), Some("Lax".into())), ("Secure".into(), None)],
    };
    let written = |ttl: &str| {
        hash(&format!(
            "{{httpCookie: {{name: user, path: /a{ttl}, attributes: [{{name: SameSite, value: Lax}}, {{name: Secure}}]}}}}"
        ))
        .0
    };
    assert_eq!(written(""), HashKey::Cookie(cookie(None)));
    assert_eq!(written(", ttl: 0s"), HashKey::Cookie(cookie(Some(Duration::ZERO))));
    assert_eq!(written(", ttl: 1h"), HashKey::Cookie(cookie(Some(Duration::from_secs(3600)))));
}

#[test]
fn both_rings_are_read_with_their_sizes() {
    let ring = |text: &str| hash(&format!("{{useSourceIp: true, {text}}}")).1;
    assert_eq!(ring("ringHash: {}"), Ring::Ring(1024));
    assert_eq!(ring("ringHash: {minimumRingSize: 4096}"), Ring::Ring(4096));
    assert_eq!(ring("maglev: {}"), Ring::Maglev(65_537));
    assert_eq!(ring("maglev: {tableSize: 251}"), Ring::Maglev(251));
}

#[test]
fn deprecated_balancers_are_served_as_what_took_their_place() {
    for (settings, field) in [
        ("{simple: LEAST_CONN}", "loadBalancer.simple"),
        (
            "{consistentHash: {useSourceIp: true, minimumRingSize: 64}}",
            "loadBalancer.consistentHash.minimumRingSize",
        ),
        ("{warmupDurationSecs: 30s}", "loadBalancer.warmupDurationSecs"),
    ] {
        let policy = format!("{{loadBalancer: {settings}}}");
        each_is_said(&[(&policy, "warning[PC0216]", field)]);
    }
    let conversion = under("{loadBalancer: {warmupDurationSecs: 30s}}");
    let cluster = conversion.model.clusters.values().next().unwrap();
    let warmup =
        Warmup { duration: Duration::from_secs(30), minimum_percent: 10.0, aggression: 1.0 };
    assert_eq!(cluster.balancing.warmup, Some(warmup));
}

#[test]
fn a_warm_up_is_read() {
    let warmup = |text: &str| cluster_under(text).balancing.warmup;
    let wanted =
        Warmup { duration: Duration::from_secs(60), minimum_percent: 2.5, aggression: 2.0 };
    let text = "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1m, minimumPercent: 2.5, aggression: 2}}}";
    assert_eq!(warmup(text), Some(wanted));
    let wanted = Warmup { minimum_percent: 10.0, aggression: 1.0, ..wanted };
    assert_eq!(warmup("{loadBalancer: {warmup: {duration: 1m}}}"), Some(wanted));
}

#[test]
fn preferences_by_locality_are_read() {
    let locality = |text: &str| {
        let text =
            format!("{{outlierDetection: {{}}, loadBalancer: {{localityLbSetting: {text}}}}}");
        cluster_under(&text).balancing.locality.clone()
    };
    let nearest = LocalityBalancing::Failover([].into());
    assert_eq!(locality("{}"), Some(nearest.clone()));
    assert_eq!(locality("{enabled: true}"), Some(nearest.clone()));
    assert_eq!(locality("{enabled: false}"), Some(LocalityBalancing::Off));
    let failover = Failover { from: "eu".into(), to: "us".into() };
    assert_eq!(
        locality("{failover: [{from: eu, to: us}]}"),
        Some(LocalityBalancing::Failover([failover].into()))
    );
    let labels = ["topology.kubernetes.io/zone".into(), "version=v1".into()];
    assert_eq!(
        locality("{failoverPriority: [topology.kubernetes.io/zone, version=v1]}"),
        Some(LocalityBalancing::FailoverPriority(labels.into()))
    );
    let shares = vec![("eu/a/*".into(), 80), ("eu/b/*".into(), 20)];
    let distribute = Distribute { from: "eu/a/*".into(), to: shares };
    assert_eq!(
        locality("{distribute: [{from: eu/a/*, to: {'eu/a/*': 80, 'eu/b/*': 20}}]}"),
        Some(LocalityBalancing::Distribute([distribute].into()))
    );
}

#[test]
fn outlier_detection_turns_failover_on_and_without_it_there_is_none() {
    let nearest = Some(LocalityBalancing::Failover([].into()));
    assert_eq!(cluster_under("{outlierDetection: {}}").balancing.locality, nearest);
    assert_eq!(cluster_under("{}").balancing.locality, None);
    let text = "{loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}]}}}";
    each_is_said(&[(text, "warning[PC0217]", "loadBalancer")]);
    let conversion = under(text);
    let cluster = conversion.model.clusters.values().next().unwrap();
    assert_eq!(cluster.balancing.locality, None);
    let distribute =
        "{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {eu: 100}}]}}}";
    assert!(cluster_under(distribute).balancing.locality.is_some());
}

#[test]
fn every_wrong_balancer_is_said_at_its_place() {
    let (bad, none, both) = ("error[PC0210]", "warning[PC0217]", "error[PC0212]");
    let missing = "error[PC0209]";
    for (settings, said, field) in [
        ("{simple: ROUND}", bad, ".simple"),
        ("{simple: RANDOM, consistentHash: {useSourceIp: true}}", both, ""),
        ("{consistentHash: {}}", none, ".consistentHash"),
        ("{consistentHash: {useSourceIp: false}}", none, ".consistentHash"),
        ("{consistentHash: {useSourceIp: true, httpHeaderName: a}}", both, ".consistentHash"),
        ("{consistentHash: {useSourceIp: 1}}", "error[PC0208]", ".consistentHash.useSourceIp"),
        ("{consistentHash: {httpHeaderName: 'a b'}}", bad, ".consistentHash.httpHeaderName"),
        (
            "{consistentHash: {httpQueryParameterName: ''}}",
            bad,
            ".consistentHash.httpQueryParameterName",
        ),
        ("{consistentHash: {httpCookie: {}}}", missing, ".consistentHash.httpCookie.name"),
        ("{consistentHash: {httpCookie: {name: 'a;b'}}}", bad, ".consistentHash.httpCookie.name"),
        (
            "{consistentHash: {httpCookie: {name: a, path: '/;x'}}}",
            bad,
            ".consistentHash.httpCookie.path",
        ),
        (
            "{consistentHash: {httpCookie: {name: a, ttl: soon}}}",
            bad,
            ".consistentHash.httpCookie.ttl",
        ),
        (
            "{consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}",
            bad,
            ".consistentHash.ringHash.minimumRingSize",
        ),
        (
            "{consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}",
            bad,
            ".consistentHash.maglev.tableSize",
        ),
        (
            "{consistentHash: {useSourceIp: true, maglev: {}, ringHash: {}}}",
            both,
            ".consistentHash",
        ),
        ("{warmup: {}}", missing, ".warmup.duration"),
        ("{warmup: {duration: 0s}}", bad, ".warmup.duration"),
        ("{warmup: {duration: 1s, minimumPercent: 101}}", bad, ".warmup.minimumPercent"),
        ("{warmup: {duration: 1s, aggression: 0.5}}", bad, ".warmup.aggression"),
        ("{simple: RANDOM, warmup: {duration: 1s}}", none, ".warmup"),
    ] {
        let policy = format!("{{loadBalancer: {settings}}}");
        each_is_said(&[(&policy, said, &format!("loadBalancer{field}"))]);
    }
    let prime =
        under("{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}}");
    assert!(problems(&prime)[0].contains("65536 is not a prime; the next prime is 65537"));
}

#[test]
fn every_wrong_locality_is_said_at_its_place() {
    let bad = "error[PC0210]";
    for (settings, said, field) in [
        ("{distribute: [{from: eu, to: {eu: 90}}]}", bad, ".distribute[0].to"),
        ("{distribute: [{from: eu, to: {eu: 0, us: 100}}]}", bad, ".distribute[0].to.eu"),
        ("{distribute: [{from: 'e*', to: {eu: 100}}]}", bad, ".distribute[0].from"),
        ("{distribute: [{from: a/b/c/d, to: {eu: 100}}]}", bad, ".distribute[0].from"),
        ("{distribute: [{to: {eu: 100}}]}", "error[PC0209]", ".distribute[0].from"),
        (
            "{distribute: [{from: eu, to: {eu: 100}}, {from: eu, to: {us: 100}}]}",
            bad,
            ".distribute",
        ),
        ("{failover: [{from: eu, to: eu}]}", bad, ".failover[0]"),
        ("{failover: [{from: eu/a, to: us}]}", bad, ".failover[0].from"),
        ("{failover: [{from: eu}]}", "error[PC0209]", ".failover[0].to"),
        ("{failoverPriority: ['=a']}", bad, ".failoverPriority[0]"),
        (
            "{distribute: [{from: eu, to: {eu: 100}}], failover: [{from: eu, to: us}]}",
            "error[PC0212]",
            "",
        ),
    ] {
        let policy =
            format!("{{outlierDetection: {{}}, loadBalancer: {{localityLbSetting: {settings}}}}}");
        each_is_said(&[(&policy, said, &format!("loadBalancer.localityLbSetting{field}"))]);
    }
}
