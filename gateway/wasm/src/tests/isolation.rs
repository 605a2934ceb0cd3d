//! `isolation: request`: each request in a sandbox of its own, made from what the plugin was once it was configured.

use std::sync::atomic::Ordering::Relaxed;

use portcullis_model::Isolation;

use super::*;

/// Counts requests in a global and in memory, from what `on_configure` left there, and tells both.
const COUNTS: &str = r#"
    (global $count (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (global.set $count (i32.const 48))
      (i32.store8 (i32.const 700) (i32.const 65))
      (i32.store8 (i32.const 60000) (i32.const 90))
      (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.store8 (i32.const 700) (i32.add (i32.load8_u (i32.const 700)) (i32.const 1)))
      (i32.store8 (i32.const 60000) (i32.add (i32.load8_u (i32.const 60000)) (i32.const 1)))
      (i32.store8 (i32.const 701) (global.get $count))
      (i32.store8 (i32.const 702) (i32.load8_u (i32.const 60000)))
      (call $expect (call $replace_header (i32.const 0) $"x-seen" (i32.const 700) (i32.const 3)) (i32.const 0))
      (i32.const 0))"#;

fn isolated() -> model::Plugin {
    model::Plugin { isolation: Isolation::Request, ..settings() }
}

fn start(body: &str) -> Result<Bench, LoadError> {
    Bench::try_start(&guest::module(body), isolated())
}

fn seen(exchange: &Exchange) -> &str {
    exchange.request.headers["x-seen"].to_str().unwrap()
}

#[test]
fn each_request_finds_the_plugin_as_it_was_configured() {
    let bench = start(COUNTS).unwrap();
    for _ in 0..3 {
        let mut exchange = exchange();
        bench.request(&mut exchange).unwrap();
        assert_eq!(seen(&exchange), "B1[");
    }
    let shared = Bench::start(COUNTS);
    shared.request(&mut exchange()).unwrap();
    let mut second = exchange();
    shared.request(&mut second).unwrap();
    assert_eq!(seen(&second), "C2\\", "and those of a worker's instance share it");
}

#[test]
fn requests_at_the_same_time_have_nothing_in_common() {
    let bench = start(COUNTS).unwrap();
    let (first, second) = (bench.instance(), bench.instance());
    let mut exchanges = [exchange(), exchange()];
    for (instance, exchange) in [&first, &second].into_iter().zip(&mut exchanges) {
        instance.on_request_headers(instance.open_stream(), exchange, EndOfStream::Yes).unwrap();
    }
    assert_eq!((seen(&exchanges[0]), seen(&exchanges[1])), ("B1[", "B1["));
    assert_eq!(bench.metrics.instances.load(Relaxed), 2, "no other ones wait beside them");
    drop((first, second));
    assert_eq!(bench.metrics.instances.load(Relaxed), 0);
    assert_eq!(bench.metrics.memory_bytes.load(Relaxed), 0);
}

#[test]
fn a_request_keeps_its_sandbox_for_all_callbacks() {
    let body = format!(
        "{COUNTS} {}",
        guest::on_response(
            r#"(call $expect (i32.load8_u (i32.const 700)) (i32.const 66))
               (call $expect (global.get $count) (i32.const 49))"#
        )
    );
    let bench = start(&body).unwrap();
    let (instance, mut exchange) = (bench.instance(), answered());
    let stream = begin(&instance, &mut exchange);
    instance.on_response_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
}

#[test]
fn memory_that_was_grown_while_configuring_is_there() {
    let body = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (memory.grow (i32.const 2)))
          (i32.store (i32.const 150000) (i32.const 7))
          (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $expect (memory.size) (i32.const 3))
          (call $expect (i32.load (i32.const 150000)) (i32.const 7))
          (drop (memory.grow (i32.const 1)))
          (i32.store (i32.const 200000) (i32.const 1))
          (i32.const 0))"#;
    let bench = start(body).unwrap();
    bench.request(&mut exchange()).unwrap();
    bench.request(&mut exchange()).unwrap();
}

#[test]
fn what_stays_open_or_cannot_be_kept_is_refused_by_name() {
    let refused = |body: &str| match start(body) {
        Err(error @ LoadError::Isolation { .. }) => error.to_string(),
        other => panic!("{:?}", other.err()),
    };
    let configure = |body: &str| {
        format!(
            r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) {body} (i32.const 1))"#
        )
    };
    let queue = configure(r#"(drop (call $register_queue $"jobs" (i32.const 512)))"#);
    assert!(refused(&queue).contains("registers a queue"));
    let table = "(table $t 1 funcref) (func (table.set $t (i32.const 0) (ref.null func)))";
    assert!(refused(table).contains("table.set"), "{}", refused(table));
    let call = configure(
        r#"(i32.store (i32.const 800) (i32.const 0))
           (drop (call $grpc_call $"outbound|80||auth.shop.svc" $"svc" $"m" (i32.const 800) (i32.const 4) $"x" (i32.const 1000) (i32.const 512)))"#,
    );
    assert!(refused(&call).contains("leaves a call open"), "{}", refused(&call));
}

#[test]
fn only_so_many_sandboxes_of_a_worker_live_at_once() {
    let limits = model::PluginLimits { sandboxes: 2, ..settings().limits };
    let settings = model::Plugin { limits, ..isolated() };
    let bench = Bench::try_start(&guest::module(COUNTS), settings).unwrap();
    let held = [bench.instance(), bench.instance()];
    assert!(bench.worker.instance(&bench.plugin).is_none());
    drop(held);
    assert!(bench.worker.instance(&bench.plugin).is_some());
}

#[test]
fn all_sandboxes_together_have_so_much_memory() {
    let limits = model::PluginLimits { memory: 1 << 16, sandboxes: 1000, ..settings().limits };
    let settings = model::Plugin { limits, ..isolated() };
    let bench = Bench::try_start(&guest::module(COUNTS), settings).unwrap();
    let held: Vec<_> =
        std::iter::from_fn(|| bench.worker.instance(&bench.plugin)).take(1000).collect();
    assert_eq!(held.len(), 64);
}

#[test]
fn a_trap_costs_its_own_request_alone() {
    let trap = guest::on_request(
        r#"(if (i32.eqz (call $get_header (i32.const 0) $"x-trap" (i32.const 512) (i32.const 516))) (then unreachable))"#,
    );
    let body = format!("{trap} {}", guest::on_response(""));
    let bench = start(&body).unwrap();
    let (neighbour, mut neighbours) = (bench.instance(), answered());
    let stream = begin(&neighbour, &mut neighbours);
    let mut bad = exchange();
    bad.request.headers.insert("x-trap", "1".parse().unwrap());
    bench.request(&mut bad).unwrap_err();
    neighbour.on_response_headers(stream, &mut neighbours, EndOfStream::Yes).unwrap();
    bench.request(&mut exchange()).unwrap();
}

#[test]
fn ticks_are_those_of_an_instance_beside() {
    let body = format!(
        r#"{COUNTS}
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
          (drop (call $set_tick (i32.const 10))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (global.set $count (i32.const 99)))"#
    );
    let bench = start(&body).unwrap();
    bench.worker.wake(&bench.plugin);
    let tick = bench.worker.next_tick().expect("it ticks");
    let mut ticks = 0;
    bench.worker.run_due(tick, |_, _, _| ticks += 1);
    assert_eq!(ticks, 1);
    let mut request = exchange();
    bench.request(&mut request).unwrap();
    assert_eq!(seen(&request), "B1[");
    assert!(bench.worker.next_tick().is_some());
}

#[test]
fn a_fresh_sandbox_for_each_request_is_no_way_to_flood_the_log() {
    use crate::allowance::Taken;
    let bench = start("").unwrap();
    let (first, second) = (bench.instance(), bench.instance());
    let line = |instance: &Instance| {
        instance.with_vm(|vm| Ok(vm.store.data().log.take_line(200 << 10))).unwrap()
    };
    assert_eq!(line(&first), Taken::Yes { refused_before: 0 });
    assert_eq!(line(&second), Taken::No);
    let refusal = |instance: &Instance| {
        instance.with_vm(|vm| Ok(vm.store.data().log.take_refusal())).unwrap()
    };
    let logged =
        (0..10).filter(|nth| refusal(if nth % 2 == 0 { &first } else { &second }) != Taken::No);
    assert_eq!(logged.count(), 5);
}
