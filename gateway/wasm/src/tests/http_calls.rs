//! Calls over HTTP and gRPC: what is asked for, and how results come back.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::StatusCode;

use super::*;
use crate::tests::guest::on_request as request_body;
use crate::{Begun, CallKind, CallReply, Hangup};

pub(super) fn next_call(bench: &Bench) -> Option<Begun> {
    match pin!(bench.worker.next_call()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(begun) => begun,
        Poll::Pending => None,
    }
}

fn hung_up(begun: &Begun) -> Option<Hangup> {
    match begun.line.poll_hangup(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(hangup) => Some(hangup),
        Poll::Pending => None,
    }
}

pub(super) fn reply(status: u16, body: &'static str) -> CallReply {
    let mut headers = HeaderMap::new();
    headers.insert("x-user", "ann".parse().unwrap());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    CallReply { status, headers, body: body.into(), trailers }
}

/// `:method POST`, `:path /check?a=1`, `:authority auth`, `content-length 7`, `x-a b` in the map format.
const HEAD: &str = r#"$"\05\00\00\00\07\00\00\00\04\00\00\00\05\00\00\00\0a\00\00\00\0a\00\00\00\04\00\00\00\0e\00\00\00\01\00\00\00\03\00\00\00\01\00\00\00:method\00POST\00:path\00/check?a=1\00:authority\00auth\00content-length\007\00x-a\00b\00""#;

fn calls() -> String {
    request_body(&format!(
        r#"(call $expect (call $http_call $"auth" {HEAD} $"body" $"" (i32.const 250) (i32.const 520)) (i32.const 0))
           (i32.store (i32.const 524) (i32.load (i32.const 520)))
           (i32.store (i32.const 528) (local.get $context))
           (return (i32.const 1))"#
    ))
}

/// Expects 200 with a body, then lets the request that made the call go on, with a header of the reply.
const RESULT: &str = r#"
    (func (export "proxy_on_http_call_response") (param $root i32) (param $call i32) (param $fields i32) (param $bytes i32) (param $trailers i32)
      (call $expect (local.get $root) (i32.const 1))
      (call $expect (local.get $call) (i32.load (i32.const 524)))
      (call $expect (local.get $fields) (i32.const 2))
      (call $expect (local.get $bytes) (i32.const 4))
      (call $expect (local.get $trailers) (i32.const 1))
      (call $expect (call $set_context (i32.load (i32.const 528))) (i32.const 0))
      (call $expect_header (i32.const 6) $":status" $"200")
      (call $expect_header (i32.const 6) $"x-user" $"ann")
      (call $expect_header (i32.const 7) $"x-sum" $"1")
      (call $expect (call $get_pairs (i32.const 6) (i32.const 512) (i32.const 516)) (i32.const 0))
      (call $expect (call $add_header (i32.const 6) $"x" $"y") (i32.const 2))
      (call $expect (call $get_buffer (i32.const 4) (i32.const 1) (i32.const 2) (i32.const 512) (i32.const 516)) (i32.const 0))
      (call $expect_out $"oo")
      (call $expect (call $continue (i32.const 0)) (i32.const 0)))"#;

#[test]
fn a_call_is_sent_after_the_callback_and_its_result_comes_on_the_root_context() {
    let bench = Bench::start(&format!("{}{RESULT}", calls()));
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = instance.open_stream();
    let effects = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
    assert_eq!(effects.action, crate::Action::Pause);
    let begun = next_call(&bench).unwrap();
    let call = &begun.call;
    assert_eq!(call.cluster.to_string(), "outbound|80||auth.shop.svc");
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/check?a=1"));
    assert_eq!(call.headers["host"], "auth");
    assert_eq!(call.headers["x-a"], "b");
    assert!(!call.headers.contains_key("content-length"));
    assert_eq!((&call.body[..], call.timeout), (&b"body"[..], Some(Duration::from_millis(250))));
    assert_eq!(call.kind, CallKind::Http);
    let parked =
        crate::Parked { exchange: Some(exchange), body: Bytes::new(), body_changed: false };
    instance.park(stream, crate::Direction::Request, parked);
    let caller = begun.caller.upgrade().unwrap();
    caller.on_http_call_response(call.id, reply(200, "good"));
    assert!(instance.is_alive());
    let resumed = instance.poll_resumed(
        stream,
        crate::Direction::Request,
        &Context::from_waker(Waker::noop()),
    );
    assert_eq!(resumed, Poll::Ready(crate::Resumed::Continue));
    // Told once.
    caller.on_http_call_response(call.id, reply(500, "bad"));
    assert!(instance.is_alive());
}

#[test]
fn a_call_that_cannot_be_made_is_refused_with_what_sdks_take() {
    let bench = Bench::start(&request_body(&format!(
        r#"
        (call $expect (call $http_call $"nobody" {HEAD} $"" $"" (i32.const 0) (i32.const 520)) (i32.const 2))
        (call $expect (call $http_call $"10.0.0.1:80" {HEAD} $"" $"" (i32.const 0) (i32.const 520)) (i32.const 2))
        (call $expect (call $http_call $"auth" $"" $"" $"" (i32.const 0) (i32.const 520)) (i32.const 2))
        (call $expect (call $http_call $"auth" $"\ff" $"" $"" (i32.const 0) (i32.const 520)) (i32.const 2))
        (call $expect (call $http_call $"auth" {HEAD} (i32.const 0) (i32.const -1) $"" (i32.const 0) (i32.const 520)) (i32.const 10))
        (call $expect (call $http_call $"auth" {HEAD} $"" $"" (i32.const 0) (i32.const -1)) (i32.const 6))
        (call $expect (call $grpc_call $"nobody" $"s" $"m" $"" $"" (i32.const 0) (i32.const 520)) (i32.const 4))
        (call $expect (call $grpc_call $"auth" $"s/x" $"m" $"" $"" (i32.const 0) (i32.const 520)) (i32.const 4))
        (call $expect (call $grpc_send (i32.const 9) $"m" (i32.const 1)) (i32.const 2))
        (call $expect (call $grpc_cancel (i32.const 9)) (i32.const 2))
        (call $expect (call $grpc_close (i32.const 9)) (i32.const 2))
        (call $expect (call $get_status (i32.const 524) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (i32.load (i32.const 524)) (i32.const 0))"#
    )));
    bench.request(&mut exchange()).unwrap();
    assert!(next_call(&bench).is_none());
}

#[test]
fn too_many_calls_in_flight_are_refused_until_some_are_over() {
    let bench = Bench::start(&request_body(&format!(
        r#"
        (local $nth i32)
        (loop $next
          (call $expect (call $http_call $"auth" {HEAD} $"" $"" (i32.const 0) (i32.const 520)) (i32.const 0))
          (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $nth) (i32.const 128))))
        (call $expect (call $http_call $"auth" {HEAD} $"" $"" (i32.const 0) (i32.const 520)) (i32.const 10))"#
    )));
    bench.request(&mut exchange()).unwrap();
    let begun = next_call(&bench).unwrap();
    assert_eq!(begun.call.timeout, Some(Duration::from_secs(1)));
    begun.caller.upgrade().unwrap().on_http_call_response(begun.call.id, reply(200, ""));
    let open = bench.instance().with_vm(|vm| Ok(vm.store.data().errands.calls.len()));
    assert_eq!(open, Ok(127));
}

#[test]
fn the_calls_of_a_stream_end_with_it_and_those_of_an_instance_with_it() {
    let bench = Bench::start(&calls());
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    let first = next_call(&bench).unwrap();
    assert_eq!(hung_up(&first), None);
    instance.close_stream(stream, &mut exchange);
    assert_eq!(hung_up(&first), Some(Hangup::StreamClosed));
    first.caller.upgrade().unwrap().on_http_call_response(first.call.id, reply(503, ""));
    begin(&instance, &mut exchange);
    let second = next_call(&bench).unwrap();
    let _ = instance.with_vm(|_| -> Result<(), _> { panic!("a bug of ours") });
    assert_eq!(hung_up(&second), Some(Hangup::Cancelled));
}

#[test]
fn what_is_called_while_configuring_waits_for_the_worker() {
    let bench = Bench::start(&format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (call $expect (call $http_call $"auth" {HEAD} $"" $"" (i32.const 0) (i32.const 520)) (i32.const 0))
             (i32.const 1))"#
    ));
    assert!(next_call(&bench).is_none());
    let _instance = bench.instance();
    assert!(next_call(&bench).is_some());
}

#[test]
fn a_unary_call_of_grpc_ends_with_its_message_or_its_status() {
    let bench = Bench::start(&format!(
        r#"{}
        (func (export "proxy_on_grpc_receive") (param $root i32) (param $call i32) (param $size i32)
          (call $expect (local.get $size) (i32.const 2))
          (call $expect (call $get_buffer (i32.const 5) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect_out $"hi")
          (call $expect (call $set_shared $"got" $"message" (i32.const 0)) (i32.const 0)))
        (func (export "proxy_on_grpc_close") (param $root i32) (param $call i32) (param $status i32)
          (call $expect (local.get $status) (i32.const 14))
          (call $expect (call $get_status (i32.const 524) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect (i32.load (i32.const 524)) (i32.const 14))
          (call $expect_out $"gone")
          (call $expect (call $set_shared $"got" $"status" (i32.const 0)) (i32.const 0)))"#,
        request_body(
            r#"(call $expect (call $grpc_call $"auth" $"shop.Auth" $"Check" $"" $"ping" (i32.const 100) (i32.const 520)) (i32.const 0))"#
        )
    ));
    let got = || bench.plugin.facts().scope.data.read(b"got").map(|(value, _)| value);
    bench.request(&mut exchange()).unwrap();
    let begun = next_call(&bench).unwrap();
    assert_eq!(
        (begun.call.path.as_str(), begun.call.kind),
        ("/shop.Auth/Check", CallKind::GrpcUnary)
    );
    assert_eq!(begun.call.headers["content-type"], "application/grpc");
    assert_eq!(begun.call.headers["te"], "trailers");
    assert_eq!(begun.call.headers["grpc-timeout"], "100m");
    assert_eq!(&begun.call.body[..], b"\0\0\0\0\x04ping");
    let caller = begun.caller.upgrade().unwrap();
    caller.on_grpc_message(begun.call.id, "hi".into());
    assert_eq!(got().unwrap(), "message");
    caller.on_grpc_close(begun.call.id, 0, Bytes::new());
    assert_eq!(got().unwrap(), "message");
    bench.request(&mut exchange()).unwrap();
    let begun = next_call(&bench).unwrap();
    caller.on_grpc_close(begun.call.id, 14, "gone".into());
    assert_eq!(got().unwrap(), "status");
    assert!(bench.instance().is_alive());
}

#[test]
fn a_stream_of_grpc_takes_messages_until_it_is_closed() {
    let bench = Bench::start(&format!(
        r#"{}
        (func (export "proxy_on_grpc_receive_initial_metadata") (param $root i32) (param $call i32) (param $fields i32)
          (call $expect (local.get $fields) (i32.const 1))
          (call $expect_header (i32.const 4) $"x-user" $"ann")
          (call $expect (call $grpc_send (local.get $call) $"two" (i32.const 1)) (i32.const 0))
          (call $expect (call $grpc_send (local.get $call) $"three" (i32.const 0)) (i32.const 2)))
        (func (export "proxy_on_grpc_receive_trailing_metadata") (param $root i32) (param $call i32) (param $fields i32)
          (call $expect_header (i32.const 5) $"x-sum" $"1")
          (call $expect (call $grpc_cancel (local.get $call)) (i32.const 0)))"#,
        request_body(
            r#"(call $expect (call $grpc_stream $"auth" $"shop.Auth" $"Watch" $"" (i32.const 520)) (i32.const 0))
               (call $expect (call $grpc_send (i32.load (i32.const 520)) $"one" (i32.const 0)) (i32.const 0))"#
        )
    ));
    let (instance, mut exchange) = (bench.instance(), exchange());
    begin(&instance, &mut exchange);
    let begun = next_call(&bench).unwrap();
    assert_eq!((begun.call.kind, begun.call.timeout), (CallKind::GrpcStream, None));
    let caller = begun.caller.upgrade().unwrap();
    let CallReply { headers, trailers, .. } = reply(200, "");
    caller.on_grpc_initial_metadata(begun.call.id, headers);
    let mut sent = Vec::new();
    while let Poll::Ready(Some(message)) =
        pin!(begun.line.next_message()).poll(&mut Context::from_waker(Waker::noop()))
    {
        sent.push(message.bytes);
    }
    assert_eq!(sent, [&b"\0\0\0\0\x03one"[..], b"\0\0\0\0\x03two"]);
    caller.on_grpc_trailing_metadata(begun.call.id, trailers);
    assert_eq!(hung_up(&begun), Some(Hangup::Cancelled));
    assert!(instance.is_alive());
}
