//! Shared data, queues and ticks.

use std::time::Instant;

use super::*;
use crate::tests::guest::on_request as request_body;

#[test]
fn data_is_stored_read_and_compared() {
    on_request(
        r#"
        (local $cas i32)
        (call $expect (call $get_shared $"k" (i32.const 512) (i32.const 516) (i32.const 520)) (i32.const 1))
        (call $expect (call $set_shared $"k" $"one" (i32.const 0)) (i32.const 0))
        (call $expect (call $get_shared $"k" (i32.const 512) (i32.const 516) (i32.const 520)) (i32.const 0))
        (call $expect_out $"one")
        (local.set $cas (i32.load (i32.const 520)))
        (if (i32.eqz (local.get $cas)) (then unreachable))
        (call $expect (call $set_shared $"k" $"two" (local.get $cas)) (i32.const 0))
        (call $expect (call $set_shared $"k" $"late" (local.get $cas)) (i32.const 8))
        (call $expect (call $get_shared $"k" (i32.const 512) (i32.const 516) (i32.const -1)) (i32.const 6))
        (call $expect (call $set_shared $"k" (i32.const 0) (i32.const -1) (i32.const 0)) (i32.const 6))
        (call $expect (call $set_shared (i32.const 0) (i32.const 2000) $"v" (i32.const 0)) (i32.const 2))"#,
    );
}

#[test]
fn queues_have_names_of_their_own_scope() {
    on_request(
        r#"
        (local $queue i32)
        (call $expect (call $resolve_queue $"" $"jobs" (i32.const 512)) (i32.const 1))
        (call $expect (call $register_queue $"jobs" (i32.const 512)) (i32.const 0))
        (local.set $queue (i32.load (i32.const 512)))
        (call $expect (call $resolve_queue $"" $"jobs" (i32.const 512)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (local.get $queue))
        (call $expect (call $resolve_queue $"other-vm" $"jobs" (i32.const 512)) (i32.const 1))
        (call $expect (call $enqueue (local.get $queue) $"a job") (i32.const 0))
        (call $expect (call $dequeue (local.get $queue) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect_out $"a job")
        (call $expect (call $dequeue (local.get $queue) (i32.const 512) (i32.const 516)) (i32.const 7))
        (call $expect (call $dequeue (i32.const 99) (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $enqueue (i32.const 99) $"a job") (i32.const 1))"#,
    );
}

/// Puts what `on_queue_ready` takes out of the queue into shared data, counts ticks there too.
const LISTENS: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (call $expect (call $register_queue $"jobs" (i32.const 512)) (i32.const 0))
      (call $expect (call $set_tick (i32.const 1)) (i32.const 0))
      (i32.const 1))
    (func (export "proxy_on_queue_ready") (param $root i32) (param $queue i32)
      (call $expect (local.get $root) (i32.const 1))
      (call $expect (call $dequeue (local.get $queue) (i32.const 512) (i32.const 516)) (i32.const 0))
      (call $expect (call $set_shared $"taken" (i32.load (i32.const 512)) (call $out_length) (i32.const 0)) (i32.const 0)))
    (func (export "proxy_on_tick") (param $root i32)
      (call $expect (local.get $root) (i32.const 1))
      (call $expect (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)) (i32.const 2))
      (call $expect (call $set_tick (i32.const 0)) (i32.const 0))
      (call $expect (call $set_shared $"ticked" $"yes" (i32.const 0)) (i32.const 0)))"#;

fn stored(bench: &Bench, key: &[u8]) -> Option<Bytes> {
    bench.plugin.facts().scope.data.read(key).map(|(value, _)| value)
}

#[test]
fn an_element_is_told_to_the_instance_that_registered() {
    let enqueues = request_body(
        r#"(call $expect (call $resolve_queue $"" $"jobs" (i32.const 512)) (i32.const 0))
           (call $expect (call $enqueue (i32.load (i32.const 512)) $"a job") (i32.const 0))"#,
    );
    let bench = Bench::start(&format!("{LISTENS}{enqueues}"));
    bench.request(&mut exchange()).unwrap();
    assert_eq!(stored(&bench, b"taken"), None);
    let mut phases = Vec::new();
    // Before the first tick is due.
    bench.worker.run_due(Instant::now() - Duration::from_secs(1), |_, phase, _| phases.push(phase));
    assert_eq!(phases, [portcullis_telemetry::PluginPhase::QueueReady]);
    assert_eq!(stored(&bench, b"taken").unwrap(), "a job");
    bench.worker.run_due(Instant::now() - Duration::from_secs(1), |_, _, _| panic!("told twice"));
}

#[test]
fn ticks_come_when_they_are_due_until_they_are_stopped() {
    let bench = Bench::start(LISTENS);
    assert_eq!(bench.worker.next_tick(), None);
    let instance = bench.instance();
    let due = bench.worker.next_tick().unwrap();
    bench.worker.run_due(due - Duration::from_millis(1), |_, _, _| panic!("too early"));
    bench.worker.run_due(due, |_, _, _| {});
    assert_eq!(stored(&bench, b"ticked").unwrap(), "yes");
    assert_eq!(bench.worker.next_tick(), None);
    assert!(instance.is_alive());
}

#[test]
fn a_tick_that_traps_costs_the_instance() {
    let bench = Bench::start(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $set_tick (i32.const 1))) (i32.const 1))
           (func (export "proxy_on_tick") (param i32) unreachable)"#,
    );
    let instance = bench.instance();
    let due = bench.worker.next_tick().unwrap();
    bench.worker.run_due(due, |_, _, _| {});
    assert!(!instance.is_alive());
    assert_eq!(bench.worker.next_tick(), None);
}

#[test]
fn a_retired_instance_ticks_no_more_and_hears_of_no_queue() {
    let bench = Bench::start(LISTENS);
    let instance = bench.instance();
    bench.worker.retain(|_| false);
    assert_eq!(bench.worker.next_tick(), None);
    let scope = &bench.plugin.facts().scope;
    scope.queues.push(scope.queues.resolve(b"jobs").unwrap(), b"a job").unwrap();
    assert_eq!(instance.desk.take_queue(), None);
}

#[test]
fn others_have_their_turn_between_elements_that_take_long() {
    let slow = r#"(local $n i32)
        (loop $next
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $n) (i32.const 40000000))))"#;
    let body = format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (local $n i32)
          (call $expect (call $register_queue $"jobs" (i32.const 512)) (i32.const 0))
          (loop $next
            (call $expect (call $enqueue (i32.load (i32.const 512)) $"job") (i32.const 0))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (i32.const 5))))
          (i32.const 1))
        (func (export "proxy_on_queue_ready") (param i32 i32) {slow})"#
    );
    let bench = Bench::start(&body);
    bench.worker.wake(&bench.plugin);
    for _ in 0..2 {
        let mut told = 0;
        bench.worker.run_due(std::time::Instant::now(), |_, _, _| told += 1);
        assert_eq!(told, 1);
    }
}
