//! An instance that failed is replaced; other streams in it learn that, nobody else notices.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::FaultKind;
use crate::tests::guest::on_request as request_body;

/// Traps on a request with `x-trap`.
const TRAPS_ON_DEMAND: &str = r#"
    (if (i32.eqz (call $get_header (i32.const 0) $"x-trap" (i32.const 512) (i32.const 516)))
      (then unreachable))"#;

fn bad_request() -> Box<Exchange> {
    let mut exchange = exchange();
    exchange.request.headers.insert("x-trap", "1".parse().unwrap());
    exchange
}

/// Waits until the control thread has put an instance into the mailbox.
fn next_instance(bench: &Bench) -> Rc<Instance> {
    loop {
        if let Some(instance) = bench.worker.instance(&bench.plugin) {
            return instance;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_keeps_its_instance() {
    let bench = Bench::start("");
    assert!(Rc::ptr_eq(&bench.instance(), &bench.instance()));
    assert_eq!(bench.metrics.instances.load(Relaxed), 2, "one for the worker and a spare");
    assert_eq!(bench.plugin.status().memory_bytes, 2 << 16);
}

#[test]
fn a_trap_costs_one_instance_and_the_spare_stands_in_at_once() {
    let bench = Bench::start(&request_body(TRAPS_ON_DEMAND));
    let first = bench.instance();
    let mut neighbour = answered();
    let stream = begin(&first, &mut neighbour);
    assert_eq!(bench.request(&mut bad_request()).unwrap_err().kind, FaultKind::Trap);
    assert_eq!(bench.metrics.traps.load(Relaxed), 1);

    let other = first.on_response_headers(stream, &mut neighbour, EndOfStream::Yes);
    assert_eq!(other.unwrap_err().kind, FaultKind::Dead);
    first.close_stream(stream, &mut neighbour);
    assert_eq!(bench.metrics.traps.load(Relaxed), 1, "the dead are counted once");

    let second = bench.instance();
    assert!(!Rc::ptr_eq(&first, &second));
    assert_eq!(bench.request(&mut exchange()), Ok(Effects::none()));
}

#[test]
fn every_trap_is_followed_by_a_replacement() {
    let bench = Bench::start(&request_body(TRAPS_ON_DEMAND));
    for nth in 1..=8 {
        let instance = next_instance(&bench);
        let fault = instance.on_request_headers(
            instance.open_stream(),
            &mut bad_request(),
            EndOfStream::Yes,
        );
        assert_eq!(fault.unwrap_err().kind, FaultKind::Trap);
        assert_eq!(bench.metrics.traps.load(Relaxed), nth);
    }
    let instance = next_instance(&bench);
    let fine =
        instance.on_request_headers(instance.open_stream(), &mut exchange(), EndOfStream::Yes);
    assert_eq!(fine, Ok(Effects::none()));
}

#[test]
fn a_budget_breach_is_counted_as_such() {
    let bench = Bench::start(&request_body("(loop $l (br $l))"));
    bench.request(&mut exchange()).unwrap_err();
    assert_eq!(bench.metrics.budget_exceeded.load(Relaxed), 1);
    assert_eq!(bench.metrics.traps.load(Relaxed), 0);
}

#[test]
fn instances_of_retired_plugins_go() {
    let bench = Bench::start("");
    let instance = bench.instance();
    bench.worker.retain(|_| false);
    assert_eq!(Rc::strong_count(&instance), 1);
    let Bench { engine, metrics, plugin, worker } = bench;
    drop((instance, worker, plugin));
    await_instances(&metrics, 0);
    drop(engine);
}

/// Waits until the control thread has given back what is not needed any more. Each guest has one page.
fn await_instances(metrics: &PluginMetrics, wanted: u64) {
    let counted = || (metrics.instances.load(Relaxed), metrics.memory_bytes.load(Relaxed));
    while counted() != (wanted as i64, wanted << 16) {
        std::thread::yield_now();
    }
}

#[test]
fn instances_and_memory_of_a_replaced_version_are_counted_until_its_last_request_ended() {
    let old = Bench::start("");
    let mut exchange = exchange();
    let instance = old.instance();
    let stream = begin(&instance, &mut exchange);

    let module = old.engine.compile(&wat::parse_str(guest::module("")).unwrap()).unwrap();
    let settings = Arc::new(settings());
    let metrics = &old.metrics;
    let new = Plugin::start(&old.engine, &module, &settings, 1, metrics.clone()).unwrap();
    assert_eq!(metrics.instances.load(Relaxed), 4, "two of each version");
    let Bench { engine, metrics, plugin, worker } = old;
    worker.retain(|id| id == new.id);
    drop(plugin);
    await_instances(&metrics, 3);
    instance.close_stream(stream, &mut exchange);
    drop(instance);
    await_instances(&metrics, 2);
    drop((new, worker));
    await_instances(&metrics, 0);
    drop(engine);
}

#[test]
fn each_worker_has_its_own_instance() {
    let engine = Engine::for_node(NodeMetadata::default()).unwrap();
    let module = engine.compile(&wat::parse_str(guest::module("")).unwrap()).unwrap();
    let metrics = Registry::new().plugin_metrics("WasmPlugin/shop/guest");
    let plugin =
        Plugin::start(&engine, &module, &Arc::new(settings()), 3, metrics.clone()).unwrap();
    assert_eq!(metrics.instances.load(Relaxed), 4);
    let threads: Vec<_> = (0..3)
        .map(|worker| {
            let plugin = plugin.clone();
            std::thread::spawn(move || {
                let worker = WorkerInstances::new(worker);
                let instance = worker.instance(&plugin).unwrap();
                let stream = instance.open_stream();
                instance.on_request_headers(stream, &mut exchange(), EndOfStream::Yes).unwrap()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Effects::none());
    }
    assert_eq!(plugin.status().name, "WasmPlugin/shop/guest");
    assert_eq!(plugin.status().digest.len(), 64);
}
