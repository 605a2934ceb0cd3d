//! What reading 10 000 VirtualServices costs: the first time, and when one of them changed.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portcullis_manifests::{Draft, Memory, SourceFile, into_model};
use portcullis_message::HeadRules;

const ROUTES: usize = 10_000;

const BACKEND_AND_GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: up}
spec:
  hosts: [up.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
";

fn read_manifests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read_manifests");
    group.sample_size(20);
    for (name, route) in [("json", json as fn(usize, &str) -> String), ("yaml", yaml)] {
        let text = text(route, "/api/");
        group.bench_function(format!("{name}/first"), |bencher| {
            let read = |source| {
                into_model(&Draft::read(vec![source]), &Memory::default(), HeadRules::default())
            };
            bencher.iter_batched(|| source(&text), read, BatchSize::PerIteration);
        });
        let before = Draft::read(vec![source(&text)]);
        let memory = into_model(&before, &Memory::default(), HeadRules::default()).memory;
        let changed = text.replacen("/api/", "/new/", 1);
        group.bench_function(format!("{name}/one_changed"), |bencher| {
            let read = |source| {
                into_model(&Draft::read_with(vec![source], &before), &memory, HeadRules::default())
            };
            bencher.iter_batched(|| source(&changed), read, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn source(text: &str) -> SourceFile {
    SourceFile { path: "all.yaml".into(), directory: "/".into(), text: text.into() }
}

fn text(route: fn(usize, &str) -> String, prefix: &str) -> String {
    let routes: Vec<String> = (0..ROUTES).map(|number| route(number, prefix)).collect();
    format!("{BACKEND_AND_GATEWAY}---\n{}", routes.join("---\n"))
}

fn yaml(number: usize, prefix: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: h{number}
spec:
  hosts:
  - h{number}.example.com
  gateways:
  - gw
  http:
  - match:
    - uri:
        prefix: {prefix}
    route:
    - destination:
        host: up.example.com
  - route:
    - destination:
        host: up.example.com
"
    )
}

fn json(number: usize, prefix: &str) -> String {
    let head = format!(
        r#"{{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {{"name": "h{number}"}}"#
    );
    let hosts = format!(r#""hosts": ["h{number}.example.com"], "gateways": ["gw"]"#);
    let route = r#""route": [{"destination": {"host": "up.example.com"}}]"#;
    let matched = format!(r#"{{"match": [{{"uri": {{"prefix": "{prefix}"}}}}], {route}}}"#);
    format!("{head}, \"spec\": {{{hosts}, \"http\": [{matched}, {{{route}}}]}}}}\n")
}

criterion_group!(benches, read_manifests);
criterion_main!(benches);
