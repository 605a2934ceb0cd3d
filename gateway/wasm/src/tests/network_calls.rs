//! The callbacks of connections, and what host calls mean in them.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use portcullis_exchange::{Connection, Exchange};

use super::{Bench, guest};
use crate::{Action, ClosedBy, Direction, EndOfStream, FaultKind, Parked, Resumed};

fn connection() -> Box<Exchange> {
    Box::new(Exchange::of_connection(Arc::new(Connection::nowhere())))
}

fn on_new(code: &str) -> String {
    format!(
        "(func (export \"proxy_on_new_connection\") (param $context i32) (result i32) {code} (i32.const 0))"
    )
}

fn on_data(from: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_on_{from}_data\") (param $context i32) (param $size i32) (param $end i32) (result i32)
           {code} (i32.const 0))"
    )
}

#[test]
fn bytes_are_read_and_spliced_in_the_buffers_of_their_direction() {
    let bench = Bench::start(
        &(on_data(
            "downstream",
            "(call $expect (local.get $size) (i32.const 5))
             (call $expect (call $get_buffer (i32.const 2) (i32.const 1) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 0))
             (call $expect_out $\"ell\")
             (call $expect (call $get_buffer (i32.const 3) (i32.const 0) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 1))
             (call $expect (call $get_buffer (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 1))
             (call $expect (call $set_buffer (i32.const 2) (i32.const 1) (i32.const 3) $\"ipp\") (i32.const 0))",
        ) + &on_data(
            "upstream",
            "(call $expect (local.get $end) (i32.const 1))
             (call $expect (call $set_buffer (i32.const 3) (i32.const 0) (i32.const 0) $\">\") (i32.const 0))",
        )),
    );
    let (instance, mut exchange) = (bench.instance(), connection());
    let stream = instance.open_stream();
    instance.on_new_connection(stream, &mut exchange).unwrap();
    let down = instance
        .on_downstream_data(stream, &mut exchange, Bytes::from("hello"), EndOfStream::No)
        .unwrap();
    assert_eq!((down.action, down.body), (Action::Continue, Some("hippo".into())));
    let up = instance
        .on_upstream_data(stream, &mut exchange, Bytes::from("hi"), EndOfStream::Yes)
        .unwrap();
    assert_eq!(up.body, Some(">hi".into()));
}

#[test]
fn a_connection_has_no_headers_and_gets_no_reply() {
    let bench = Bench::start(&on_new(
        "(call $expect (call $get_header (i32.const 0) $\":path\" (i32.const 512) (i32.const 516)) (i32.const 1))
         (call $expect (call $map_size (i32.const 2) (i32.const 512)) (i32.const 0))
         (drop (call $add_header (i32.const 0) $\"x-a\" $\"b\"))
         (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const -1)))
         (call $expect (call $get_property $\"request\\00path\" (i32.const 512) (i32.const 516)) (i32.const 1))
         (call $expect (call $get_property $\"source\\00address\" (i32.const 512) (i32.const 516)) (i32.const 0))
         (call $expect (call $set_property $\"kept\" $\"yes\") (i32.const 0))",
    ));
    let (instance, mut exchange) = (bench.instance(), connection());
    let effects = instance.on_new_connection(instance.open_stream(), &mut exchange).unwrap();
    assert_eq!((effects.action, effects.reply), (Action::Continue, None));
    assert_eq!(exchange.state("kept"), Some(&Bytes::from("yes")));
    assert!(exchange.request.headers.is_empty());
}

#[test]
fn only_streams_of_connections_are_meant() {
    let code = |stream: u32, close: &str| {
        on_new(&format!(
            "(call $expect (call $continue (i32.const {stream})) (i32.const 0)) {close} (return (i32.const 1))"
        ))
    };
    let action = |body: &str| {
        let bench = Bench::start(body);
        let instance = bench.instance();
        instance.on_new_connection(instance.open_stream(), &mut connection()).unwrap().action
    };
    assert_eq!(action(&code(2, "")), Action::Continue);
    assert_eq!(action(&code(0, "")), Action::Pause);
    assert_eq!(action(&code(0, "(drop (call $close (i32.const 1)))")), Action::Pause);
    assert_eq!(action(&code(0, "(drop (call $close (i32.const 3)))")), Action::Close);
}

#[test]
fn what_is_held_is_resumed_by_another_connections_callback() {
    let bench = Bench::start(
        &("(global $first (mut i32) (i32.const 0))".to_owned()
            + &on_data(
                "downstream",
                "(if (i32.eqz (global.get $first)) (then (global.set $first (local.get $context)) (return (i32.const 1))))
                 (call $expect (call $set_context (global.get $first)) (i32.const 0))
                 (call $expect (call $get_buffer (i32.const 2) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516)) (i32.const 0))
                 (call $expect_out $\"held\")
                 (call $expect (call $continue (i32.const 2)) (i32.const 0))",
            )),
    );
    let instance = bench.instance();
    let (held, other) = (instance.open_stream(), instance.open_stream());
    let mut exchange = connection();
    instance.on_new_connection(held, &mut exchange).unwrap();
    let paused =
        instance.on_downstream_data(held, &mut exchange, Bytes::from("held"), EndOfStream::No);
    assert_eq!(paused.unwrap().action, Action::Pause);
    let parked =
        Parked { exchange: Some(exchange), body: Bytes::from("held"), body_changed: false };
    instance.park(held, Direction::Request, parked);
    let cx = Context::from_waker(Waker::noop());
    assert_eq!(instance.poll_resumed(held, Direction::Request, &cx), Poll::Pending);
    let mut exchange = connection();
    instance.on_new_connection(other, &mut exchange).unwrap();
    instance.on_downstream_data(other, &mut exchange, Bytes::from("x"), EndOfStream::No).unwrap();
    let resumed = instance.poll_resumed(held, Direction::Request, &cx);
    assert_eq!(resumed, Poll::Ready(Resumed::Continue));
}

#[test]
fn the_end_is_told_with_who_closed_and_faults_concern_nobody() {
    let bench = Bench::start(
        "(func (export \"proxy_on_upstream_connection_close\") (param $context i32) (param $by i32)
           (call $expect (local.get $by) (i32.const 2)))
         (func (export \"proxy_on_downstream_connection_close\") (param $context i32) (param $by i32)
           (call $expect (local.get $by) (i32.const 2)))",
    );
    let (instance, mut exchange) = (bench.instance(), connection());
    let stream = instance.open_stream();
    instance.on_new_connection(stream, &mut exchange).unwrap();
    instance.on_upstream_connection_close(stream, &mut exchange, ClosedBy::Peer);
    assert!(instance.on_new_connection(instance.open_stream(), &mut exchange).is_ok());
    instance.on_downstream_connection_close(stream, &mut exchange, ClosedBy::Us);
    let dead = instance.on_new_connection(stream, &mut exchange).unwrap_err();
    assert_eq!(dead.kind, FaultKind::Dead);
    let fault = &bench.plugin.status().last_faults[0];
    assert_eq!((fault.phase, fault.kind), ("on_connection_close", FaultKind::Trap));
}

#[test]
fn a_connection_has_no_budget_of_a_request() {
    let body = guest::on_request("") + &on_data("downstream", "");
    let bench = Bench::start(&body);
    let (instance, mut exchange) = (bench.instance(), connection());
    let stream = instance.open_stream();
    instance.on_new_connection(stream, &mut exchange).unwrap();
    let long = std::time::Duration::from_millis(30);
    for _ in 0..10 {
        instance.charge_connection(std::time::Instant::now(), long);
        let passed =
            instance.on_downstream_data(stream, &mut exchange, Bytes::new(), EndOfStream::No);
        assert!(passed.is_ok());
    }
}
