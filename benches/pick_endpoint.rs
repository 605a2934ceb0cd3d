//! What the choice of an endpoint costs, by every balancer, among 3, 50 and 10 000.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis_model::{Balancer, Cluster as Settings, HashKey, Ring};
use portcullis_upstream::{Cluster, Pick};

fn pick_endpoint(criterion: &mut Criterion) {
    for (name, balancer) in balancers() {
        let mut group = criterion.benchmark_group(format!("pick_endpoint/{name}"));
        for many in [3_u32, 50, 10_000] {
            let cluster = cluster(&balancer, many);
            let mut hash = 0_u64;
            group.bench_function(BenchmarkId::from_parameter(many), |bencher| {
                bencher.iter(|| {
                    hash = hash.wrapping_add(0x9E37_79B9_7F4A_7C15);
                    cluster.pick(black_box(&Pick { hash: Some(hash), tried: &[] }))
                });
            });
        }
        group.finish();
    }
}

fn balancers() -> [(&'static str, Balancer); 5] {
    let hash = |ring| Balancer::Hash { key: HashKey::SourceAddress, ring };
    [
        ("least_request", Balancer::LeastRequest),
        ("round_robin", Balancer::RoundRobin),
        ("random", Balancer::Random),
        ("ring_hash", hash(Ring::Ring(1_024))),
        ("maglev", hash(Ring::Maglev(65_537))),
    ]
}

fn cluster(balancer: &Balancer, many: u32) -> Arc<Cluster> {
    let address = |nth| SocketAddr::from((Ipv4Addr::from_bits(0x0A00_0000 + nth), 80));
    let endpoints: Vec<_> = (0..many).map(|nth| (address(nth), 1)).collect();
    let mut settings = Settings::for_test(&endpoints);
    settings.balancing.balancer = balancer.clone();
    Cluster::new(&Arc::new(settings), None)
}

criterion_group!(benches, pick_endpoint);
criterion_main!(benches);
