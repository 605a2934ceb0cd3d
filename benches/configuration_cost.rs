//! Where the memory and the time of a large configuration go: 10 000 VirtualServices of two rules each, on two
//! listeners, from their text to the snapshot that serves, and then with one of them changed.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "a program")]

use std::alloc::System;
use std::env;
use std::time::Instant;

use portcullis_manifests::{Conversion, Draft, Memory, SourceFile, into_model};
use portcullis_message::HeadRules;
use portcullis_snapshot::{Compiled, Compiler, Published};
use portcullis_telemetry::Registry;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 10_000;

const SHARED: &str = r#"{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "up"}, "spec": {"hosts": ["up.default.svc.cluster.local"], "resolution": "STATIC", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "endpoints": [{"address": "127.0.0.1"}]}}
---
{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "gw"}, "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}, {"port": {"number": 81, "name": "other", "protocol": "HTTP"}, "hosts": ["*"]}]}}
"#;

fn main() {
    let files = match env::var("FILES").as_deref() {
        Ok("many") => many_files,
        _ => one_file as fn(&str) -> Vec<SourceFile>,
    };
    let mut scales = Scales;
    let sources = scales.weigh("text", || files("/api/v1/"));
    let draft = scales.weigh("draft", || Draft::read(sources));
    let first = scales.weigh("conversion", || convert(&draft, &Memory::default()));
    let Conversion { model, problems, status, memory } = first;
    let mut compiler = Compiler::new(Registry::new(), None);
    let published = Published::new(compiler.empty());
    let snapshot = scales.weigh("snapshot", || {
        match compiler.compile(model, problems, Some(&published.current())) {
            Compiled::Changed(snapshot) => snapshot,
            Compiled::Unchanged => unreachable!("it is the first"),
        }
    });
    let current = scales.weigh("publish", || published.publish(*snapshot));
    drop(status);
    for round in 0..4 {
        println!("one of them changed:");
        let mut scales = Scales;
        let prefix = format!("/api/w{round}/");
        let changed = scales.weigh("text", || files(&prefix));
        let begin = Instant::now();
        let next = scales.weigh("draft", || Draft::read_with(changed, &draft));
        let conversion = scales.weigh("conversion", || convert(&next, &memory));
        let Conversion { model, problems, .. } = conversion;
        let compiled =
            scales.weigh("snapshot", || compiler.compile(model, problems, Some(&current)));
        let Compiled::Changed(_snapshot) = compiled else { unreachable!("one changed") };
        println!("  in all {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    }
    println!("what is given back:");
    scales.weigh("first snapshot", || drop((published, current)));
    scales.weigh("last good", || drop(memory));
    scales.weigh("draft", || drop(draft));
}

fn convert(draft: &Draft, memory: &Memory) -> Conversion {
    into_model(draft, memory, HeadRules::default())
}

/// What was allocated and not given back when last asked.
#[derive(Default)]
struct Scales;

impl Scales {
    fn weigh<T>(&mut self, what: &str, work: impl FnOnce() -> T) -> T {
        let (before, begin) = (ALLOCATOR.stats(), Instant::now());
        let made = work();
        let took = begin.elapsed().as_secs_f64() * 1e3;
        let after = ALLOCATOR.stats();
        let (held, held_before) = (live(&after), live(&before));
        let pieces =
            |stats: &stats_alloc::Stats| stats.allocations as i64 - stats.deallocations as i64;
        let bytes = (held - held_before) / OBJECTS as i64;
        let pieces = (pieces(&after) - pieces(&before)) as f64 / OBJECTS as f64;
        println!(
            "  {what:<15} {bytes:>7} bytes in {pieces:>5.1} pieces for each object, {took:>7.1} ms"
        );
        made
    }
}

fn live(stats: &stats_alloc::Stats) -> i64 {
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

fn one_file(prefix: &str) -> Vec<SourceFile> {
    let objects: Vec<_> = (0..OBJECTS).map(|number| object(number, prefix)).collect();
    vec![source("all.yaml", format!("{SHARED}---\n{}", objects.join("\n---\n")))]
}

fn many_files(prefix: &str) -> Vec<SourceFile> {
    let of = |number| source(&format!("{number}.yaml"), object(number, prefix));
    [source("shared.yaml", SHARED.to_owned())].into_iter().chain((0..OBJECTS).map(of)).collect()
}

fn source(path: &str, text: String) -> SourceFile {
    SourceFile { path: path.into(), directory: "/".into(), text: text.into() }
}

/// Only the one in the middle has the prefix.
fn object(number: usize, prefix: &str) -> String {
    let prefix = if number == OBJECTS / 2 { prefix } else { "/api/v1/" };
    let route = r#""route": [{"destination": {"host": "up.default.svc.cluster.local", "port": {"number": 80}}}]"#;
    let rules =
        format!(r#"[{{"match": [{{"uri": {{"prefix": "{prefix}"}}}}], {route}}}, {{{route}}}]"#);
    format!(
        r#"{{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {{"name": "h{number}", "namespace": "default"}}, "spec": {{"hosts": ["h{number}.example.com"], "gateways": ["gw"], "http": {rules}}}}}"#
    )
}
