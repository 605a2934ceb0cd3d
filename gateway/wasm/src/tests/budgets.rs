//! Budgets that span callbacks, the breaker, and the recycling of worn instances.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use portcullis_model::{BreakerLimits, Recycling};

use super::*;
use crate::FaultKind;

fn with(body: &str, limits: model::PluginLimits) -> Bench {
    Bench::try_start(&guest::module(body), model::Plugin { limits, ..settings() }).unwrap()
}

/// Waits until a replacement has been started.
fn next_instance(bench: &Bench) -> Rc<Instance> {
    loop {
        if let Some(instance) = bench.worker.instance(&bench.plugin) {
            return instance;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_request_whose_callbacks_take_too_long_together_is_lost_and_its_instance_is_not() {
    let body = format!("{} {}", guest::on_request(""), guest::on_response(""));
    let bench = Bench::start(&body);
    let (instance, mut exchange) = (bench.instance(), answered());
    let (slow, other) = (begin(&instance, &mut exchange), begin(&instance, &mut exchange));
    (0..50).for_each(|_| instance.charge(slow, Instant::now(), Duration::from_millis(30)));
    // By the processor's clock none of them took more than a millisecond: others had it.
    assert!(instance.on_response_headers(slow, &mut exchange, EndOfStream::No).is_ok());
    instance.charge(slow, Instant::now(), Duration::from_millis(30));
    let fault = instance.on_response_headers(slow, &mut exchange, EndOfStream::No).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert_eq!(bench.metrics.budget_exceeded.load(Relaxed), 1, "counted once");
    instance.charge(slow, Instant::now(), Duration::from_millis(30));
    assert_eq!(bench.metrics.budget_exceeded.load(Relaxed), 1);
    instance.on_response_headers(other, &mut exchange, EndOfStream::No).unwrap();
    instance.close_stream(slow, &mut exchange);
    bench.request(&mut exchange).unwrap();
}

#[test]
fn a_client_whose_request_takes_too_long_in_all_opens_no_breaker_for_others() {
    let breaker = BreakerLimits { failures: 1, window: Duration::from_secs(3600) };
    let bench = with(&guest::on_request(""), model::PluginLimits { breaker, ..settings().limits });
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    (0..60).for_each(|_| instance.charge(stream, Instant::now(), Duration::from_millis(1)));
    assert_eq!(bench.metrics.budget_exceeded.load(Relaxed), 1);
    assert!(!bench.plugin.status().breaker_open);
    bench.request(&mut exchange).unwrap();
}

/// Some 15 ms of a processor of today.
const SLOW: &str = "(local $n i32)
    (loop $next
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $n) (i32.const 40000000))))";

#[test]
fn a_plugin_that_takes_too_much_of_a_workers_time_cools_down() {
    let limits = model::PluginLimits {
        share: 1,
        callback: Duration::from_secs(10),
        request: Duration::from_secs(10),
        ..settings().limits
    };
    let bench = with(&guest::on_request(SLOW), limits);
    while let Some(instance) = bench.worker.instance(&bench.plugin) {
        begin(&instance, &mut exchange());
    }
    assert_eq!(bench.metrics.budget_exceeded.load(Relaxed), 1);
    let unlimited = model::PluginLimits { share: 100, ..limits };
    let bench = with(&guest::on_request(SLOW), unlimited);
    for _ in 0..20 {
        begin(&bench.instance(), &mut exchange());
    }
}

#[test]
fn after_too_many_traps_the_plugin_does_not_run() {
    let breaker = BreakerLimits { failures: 3, window: Duration::from_secs(3600) };
    let bench = with(
        &guest::on_request("unreachable"),
        model::PluginLimits { breaker, ..settings().limits },
    );
    for _ in 0..3 {
        let instance = next_instance(&bench);
        instance
            .on_request_headers(instance.open_stream(), &mut exchange(), EndOfStream::Yes)
            .unwrap_err();
    }
    assert!(bench.plugin.status().breaker_open);
    assert!((0..1000).all(|_| bench.worker.instance(&bench.plugin).is_none()));
    assert_eq!(bench.metrics.traps.load(Relaxed), 3);
}

#[test]
fn a_trial_that_goes_well_closes_the_breaker() {
    let breaker = BreakerLimits { failures: 2, window: Duration::from_millis(1) };
    let body = guest::on_request(
        r#"(if (i32.eqz (call $get_header (i32.const 0) $"x-trap" (i32.const 512) (i32.const 516))) (then unreachable))"#,
    );
    let bench = with(&body, model::PluginLimits { breaker, ..settings().limits });
    let mut bad = exchange();
    bad.request.headers.insert("x-trap", "1".parse().unwrap());
    // Two within a millisecond, however slow the machine is.
    while !bench.plugin.status().breaker_open {
        let instance = next_instance(&bench);
        let _ = instance.on_request_headers(instance.open_stream(), &mut bad, EndOfStream::Yes);
        bench.plugin.facts().breaker.fail();
    }
    let trial = next_instance(&bench);
    assert!(bench.worker.instance(&bench.plugin).is_none(), "one at a time");
    trial.on_request_headers(trial.open_stream(), &mut exchange(), EndOfStream::Yes).unwrap();
    assert!(!bench.plugin.status().breaker_open);
    assert!(bench.worker.instance(&bench.plugin).is_some());
}

#[test]
fn a_worn_instance_is_replaced_and_ends_what_it_began() {
    let body = format!("{} {}", guest::on_request(""), guest::on_response(""));
    let recycling = Recycling { requests: Some(2), memory: None };
    let bench = with(&body, model::PluginLimits { recycling, ..settings().limits });
    let (first, mut exchange) = (bench.instance(), answered());
    let stream = begin(&first, &mut exchange);
    assert!(Rc::ptr_eq(&first, &bench.instance()));
    begin(&first, &mut exchange);
    let second = bench.instance();
    assert!(!Rc::ptr_eq(&first, &second));
    first.on_response_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    first.close_stream(stream, &mut exchange);
    begin(&second, &mut exchange);
    assert_eq!(bench.metrics.traps.load(Relaxed), 0);
}

#[test]
fn an_instance_that_has_grown_is_replaced_once_it_has_served_enough() {
    let body = guest::on_request(
        "(if (i32.lt_u (memory.size) (i32.const 4)) (then (drop (memory.grow (i32.const 3)))))",
    );
    let recycling = Recycling { requests: None, memory: Some(4 << 16) };
    let bench = with(&body, model::PluginLimits { recycling, ..settings().limits });
    let first = bench.instance();
    for _ in 0..99 {
        begin(&first, &mut exchange());
        assert!(Rc::ptr_eq(&first, &bench.instance()));
    }
    begin(&first, &mut exchange());
    assert!(!Rc::ptr_eq(&first, &bench.instance()));
}

#[test]
fn one_that_was_as_large_from_its_start_stays() {
    let grown = r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (memory.grow (i32.const 7))) (i32.const 1))"#;
    let recycling = Recycling { requests: None, memory: Some(4 << 16) };
    let bench = with(grown, model::PluginLimits { recycling, ..settings().limits });
    let first = bench.instance();
    for _ in 0..200 {
        begin(&first, &mut exchange());
    }
    assert!(Rc::ptr_eq(&first, &bench.instance()));
}

#[test]
fn ten_million_cheap_host_calls_in_one_callback_end_at_its_deadline() {
    let limits = model::PluginLimits { callback: Duration::from_millis(20), ..settings().limits };
    let body = guest::on_request(
        r#"(local $n i32)
           (loop $next
             (drop (call $pthread_equal (i32.const 1) (i32.const 1)))
             (drop (call $get_log_level (i32.const 520)))
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $next (i32.lt_u (local.get $n) (i32.const 100000000))))"#,
    );
    let bench = with(&body, limits);
    assert_eq!(bench.request(&mut exchange()).unwrap_err().kind, FaultKind::Deadline);
}
