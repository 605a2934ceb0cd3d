//! Callbacks that give way (`slice`): what they do is done, what they were lent comes back, budgets hold.

use std::task::{Context, Poll, Waker};

use portcullis_model::Isolation;

use super::*;
use crate::{Action, Direction, FaultKind};

/// Far more than a slice, on any machine.
const LONG: &str = "(local $i i64)
    (loop $again
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $again (i64.lt_u (local.get $i) (i64.const 100000000))))";

fn slicing(body: &str, budget: Duration) -> Bench {
    let limits = model::PluginLimits {
        callback: budget,
        request: Duration::from_secs(600),
        slice: Some(Duration::from_millis(1)),
        ..settings().limits
    };
    let settings = model::Plugin { isolation: Isolation::Request, limits, ..settings() };
    Bench::try_start(&guest::module(body), settings).unwrap()
}

/// Runs what has begun to its end; how often it gave way after its first slice.
fn run_out(
    instance: &Instance,
    exchange: &mut Box<Exchange>,
) -> (u32, Result<Effects, PluginFault>) {
    run_out_of(instance, Direction::Request, exchange)
}

fn run_out_of(
    instance: &Instance,
    direction: Direction,
    exchange: &mut Box<Exchange>,
) -> (u32, Result<Effects, PluginFault>) {
    let mut given_way = 0;
    loop {
        match instance.poll_slow(direction, exchange, &mut Context::from_waker(Waker::noop())) {
            Poll::Pending => given_way += 1,
            Poll::Ready(result) => return (given_way, result),
        }
    }
}

fn long_request(then: &str) -> String {
    let loops = format!("{LONG} {then}");
    guest::on_request(&loops)
}

const REPLACES: &str =
    "(call $expect (call $replace_header (i32.const 0) $\"x-a\" $\"three\") (i32.const 0))";

#[test]
fn a_long_callback_gives_way_and_does_its_work() {
    let bench = slicing(&long_request(REPLACES), Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    let begun = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    assert_eq!(begun.action, Action::Runs);
    assert_eq!(exchange.request.authority, "", "the guest has it");
    let (given_way, result) = run_out(&instance, &mut exchange);
    assert!(given_way > 0);
    assert_eq!(result.unwrap(), Effects::none());
    assert_eq!(exchange.request.headers["x-a"], "three");
    assert_eq!(exchange.request.authority, "shop.example.com");
    let reply = instance.on_response_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    assert_eq!(reply.action, Action::Continue, "what is short ends at once");
    assert_eq!(instance.close_stream(stream, &mut exchange), crate::Closed::Gone);
}

#[test]
fn what_the_host_hands_over_is_allocated_in_the_guest() {
    let reads = "(call $expect (call $get_header (i32.const 0) $\"x-a\" (i32.const 900) (i32.const 904)) (i32.const 0))
         (call $expect (i32.load (i32.const 904)) (i32.const 3))";
    let bench = slicing(&guest::on_request(&format!("{LONG} {reads}")), Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    assert_eq!(run_out(&instance, &mut exchange).1.unwrap(), Effects::none());
}

#[test]
fn what_is_short_never_gives_way() {
    let bench = slicing(&guest::on_request(REPLACES), Duration::from_secs(600));
    let mut exchange = exchange();
    assert_eq!(bench.request(&mut exchange).unwrap().action, Action::Continue);
    assert_eq!(exchange.request.headers["x-a"], "three");
}

#[test]
fn an_endless_one_ends_with_its_budget_and_the_exchange_is_back() {
    let bench = slicing(&guest::on_request("(loop $again (br $again))"), Duration::from_millis(20));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    let begun = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    assert_eq!(begun.action, Action::Runs);
    let (given_way, result) = run_out(&instance, &mut exchange);
    assert!(given_way > 0);
    assert_eq!(result.unwrap_err().kind, FaultKind::Deadline);
    assert_eq!(exchange.request.authority, "shop.example.com");
    let next = instance.on_response_headers(stream, &mut exchange, EndOfStream::Yes);
    assert_eq!(next.unwrap_err().kind, FaultKind::Dead);
    assert_eq!(exchange.request.authority, "shop.example.com");
}

#[test]
fn a_trap_after_a_slice_is_a_trap() {
    let bench = slicing(&long_request("unreachable"), Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    let (_, result) = run_out(&instance, &mut exchange);
    assert_eq!(result.unwrap_err().kind, FaultKind::Trap);
    assert_eq!(exchange.request.authority, "shop.example.com");
}

#[test]
fn one_whose_client_leaves_is_broken_off_where_it_stands() {
    let bench = slicing(&long_request(REPLACES), Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    instance.break_off(Direction::Request, &mut exchange);
    assert_eq!(exchange.request.authority, "shop.example.com");
    assert_eq!(exchange.request.headers["x-a"], "one");
    instance.close_stream(stream, &mut exchange);
    drop(instance);
    assert_eq!(bench.metrics.instances.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn what_cannot_wait_runs_it_to_its_end() {
    let bench = slicing(&long_request(REPLACES), Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    // A root callback, which has no exchange.
    instance.on_tick();
    let (given_way, result) = run_out(&instance, &mut exchange);
    assert_eq!(given_way, 0, "it had ended");
    assert_eq!(result.unwrap(), Effects::none());
    assert_eq!(exchange.request.headers["x-a"], "three");
}

#[test]
fn a_body_that_was_changed_slowly_is_there() {
    let body = format!(
        "(func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32)
           {LONG}
           (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 100) $\"new\") (i32.const 0))
           (i32.const 1))"
    );
    let bench = slicing(&body, Duration::from_secs(600));
    let instance = bench.instance();
    let mut exchange = exchange();
    let stream = instance.open_stream();
    let data = Bytes::from_static(b"old body");
    let begun = instance.on_request_body(stream, &mut exchange, data, EndOfStream::No).unwrap();
    assert_eq!(begun.action, Action::Runs);
    let effects = run_out(&instance, &mut exchange).1.unwrap();
    assert_eq!((effects.action, effects.body), (Action::Pause, Some(Bytes::from_static(b"new"))));
}

#[test]
fn an_instance_that_others_share_runs_all_at_once() {
    let limits = model::PluginLimits {
        callback: Duration::from_secs(600),
        slice: Some(Duration::from_millis(1)),
        ..settings().limits
    };
    let settings = model::Plugin { limits, ..settings() };
    let bench = Bench::try_start(&guest::module(&long_request(REPLACES)), settings).unwrap();
    assert_eq!(bench.request(&mut exchange()).unwrap().action, Action::Continue);
}

/// Takes far longer than a slice for each half, and says so in its head.
fn long_halves() -> String {
    let request = format!(
        "(func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32)
           {LONG} {REPLACES} (i32.const 1))"
    );
    let says = "(call $expect (call $add_header (i32.const 2) $\"x-b\" $\"four\") (i32.const 0))";
    request + &guest::on_response(&format!("{LONG} {says}"))
}

#[test]
fn both_halves_of_a_stream_run_each_with_its_own_exchange() {
    let bench = slicing(&long_halves(), Duration::from_secs(600));
    let (instance, mut above, mut below) = (bench.instance(), exchange(), answered());
    let stream = instance.open_stream();
    let data = Bytes::from_static(b"piece");
    let begun = instance.on_request_body(stream, &mut above, data, EndOfStream::No).unwrap();
    assert_eq!(begun.action, Action::Runs);
    let begun = instance.on_response_headers(stream, &mut below, EndOfStream::No).unwrap();
    // The first one has been run to its end, and holds what nobody has taken back.
    assert_eq!(begun, Effects::none());
    assert_eq!(below.response.as_ref().unwrap().headers["x-b"], "four");
    assert!(!below.request.headers.get_all("x-a").iter().any(|value| value == "three"));
    let (given_way, ended) = run_out(&instance, &mut above);
    assert_eq!((given_way, ended.unwrap().action), (0, Action::Pause));
    assert_eq!(above.request.headers["x-a"], "three");
    assert!(above.response.is_none());
    let begun = instance.on_response_headers(stream, &mut below, EndOfStream::No).unwrap();
    assert_eq!(begun.action, Action::Runs, "nothing of the stream is held any more");
    let data = Bytes::from_static(b"piece");
    let begun = instance.on_request_body(stream, &mut above, data, EndOfStream::No).unwrap();
    assert_eq!(begun.action, Action::Pause);
    let (given_way, ended) = run_out_of(&instance, Direction::Response, &mut below);
    assert_eq!((given_way, ended.unwrap()), (0, Effects::none()));
    assert_eq!(below.response.as_ref().unwrap().headers.get_all("x-b").iter().count(), 2);
    assert_eq!(instance.close_stream(stream, &mut below), crate::Closed::Gone);
}

#[test]
fn a_half_that_is_broken_off_takes_nothing_of_the_other() {
    let bench = slicing(&long_halves(), Duration::from_secs(600));
    let (instance, mut above, mut below) = (bench.instance(), exchange(), answered());
    let stream = instance.open_stream();
    instance.on_response_headers(stream, &mut below, EndOfStream::No).unwrap();
    instance.break_off(Direction::Request, &mut above);
    assert_eq!(above.request.authority, "shop.example.com");
    assert!(above.response.is_none());
    instance.break_off(Direction::Response, &mut below);
    assert_eq!(below.response.as_ref().unwrap().headers["server"], "upstream");
    let next = instance.on_request_body(stream, &mut above, Bytes::new(), EndOfStream::Yes);
    assert_eq!(next.unwrap_err().kind, FaultKind::Dead);
}

/// Its body's callback holds the body; a tick lets it go, having changed head and body.
const TICK_RELEASES: &str = "
    (func (export \"proxy_on_tick\") (param i32)
      (call $expect (call $set_context (i32.const 2)) (i32.const 0))
      (call $expect (call $replace_header (i32.const 0) $\"x-a\" $\"ticked\") (i32.const 0))
      (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $\"> \") (i32.const 0))
      (call $expect (call $continue (i32.const 0)) (i32.const 0)))";

#[test]
fn what_is_let_go_before_anyone_knows_that_it_is_held_goes_on() {
    let bench = slicing(&(long_halves() + TICK_RELEASES), Duration::from_secs(600));
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = instance.open_stream();
    let data = Bytes::from_static(b"piece");
    let begun = instance.on_request_body(stream, &mut exchange, data, EndOfStream::No).unwrap();
    assert_eq!(begun.action, Action::Runs);
    instance.on_tick();
    let effects = run_out(&instance, &mut exchange).1.unwrap();
    assert_eq!(effects.action, Action::Continue);
    assert_eq!(effects.body, Some(Bytes::from_static(b"> piece")));
    assert_eq!(exchange.request.headers["x-a"], "ticked");
}

#[test]
fn a_half_that_is_held_is_let_go_by_the_other() {
    let body =
        "(func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32) (i32.const 1))"
            .to_owned()
            + &guest::on_response(&format!("{LONG} (drop (call $continue (i32.const 0)))"));
    let bench = slicing(&body, Duration::from_secs(600));
    let (instance, mut above, mut below) = (bench.instance(), exchange(), answered());
    let stream = instance.open_stream();
    let data = Bytes::from_static(b"piece");
    let held = instance.on_request_body(stream, &mut above, data.clone(), EndOfStream::No).unwrap();
    assert_eq!(held.action, Action::Pause);
    let parked = crate::Parked { exchange: Some(above), body: data, body_changed: false };
    instance.park(stream, Direction::Request, parked);
    let reply = instance.on_response_headers(stream, &mut below, EndOfStream::No).unwrap();
    assert_eq!(reply.action, Action::Continue, "it runs at once");
    let cx = Context::from_waker(Waker::noop());
    let resumed = instance.poll_resumed(stream, Direction::Request, &cx);
    assert_eq!(resumed, Poll::Ready(crate::Resumed::Continue));
    assert!(instance.unpark(stream, Direction::Request).unwrap().exchange.is_some());
}
