//! Bodies and trailers in their callbacks, and what is held of streams that another context reaches.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::tests::guest::{module, module_of};
use crate::{Action, Closed, Direction, Parked, Resumed};

/// A guest whose `proxy_on_request_body` is this, with `$size` and `$end`; it goes on at its end.
fn on_body(body: &str) -> String {
    format!(
        "(func (export \"proxy_on_request_body\")
            (param $context i32) (param $size i32) (param $end i32) (result i32)
            {body} (i32.const 0))"
    )
}

/// What becomes of `hello` in such a guest.
fn body_after(body: &str) -> Effects {
    let bench = Bench::start(&on_body(body));
    effects_of(&bench)
}

fn effects_of(bench: &Bench) -> Effects {
    let (instance, mut exchange) = (bench.instance(), exchange());
    let hello = Bytes::from_static(b"hello");
    let stream = begin(&instance, &mut exchange);
    instance.on_request_body(stream, &mut exchange, hello, EndOfStream::Yes).unwrap()
}

#[test]
fn a_body_is_read_whole_and_in_parts() {
    let effects = body_after(
        r#"
        (call $expect (local.get $size) (i32.const 5))
        (call $expect (local.get $end) (i32.const 1))
        (call $expect (call $get_buffer (i32.const 0) (i32.const 0) (i32.const 99) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect_out $"hello")
        (call $expect (call $get_buffer (i32.const 0) (i32.const 1) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect_out $"ell")
        (call $expect (call $get_buffer (i32.const 0) (i32.const 9) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (call $out_length) (i32.const 0))
        (call $expect (call $buffer_status (i32.const 0) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (i32.const 5))
        (call $expect (call $get_buffer (i32.const 1) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect_header (i32.const 0) $":path" $"/shop?q=1")"#,
    );
    assert_eq!(effects, Effects::none());
}

#[test]
fn a_body_is_spliced_anywhere() {
    for (start, size, data, wanted) in [
        (0, 0, "ab", "abhello"),
        (5, 0, "ab", "helloab"),
        (99, 99, "ab", "helloab"),
        (0, 5, "ab", "ab"),
        (0, 99, "ab", "ab"),
        (0, 99, "", ""),
        (1, 3, "ab", "habo"),
        (2, 0, "ab", "heabllo"),
        (3, 99, "ab", "helab"),
        (0, 1, "ab", "abello"),
    ] {
        let effects = body_after(&format!(
            "(call $expect (call $set_buffer (i32.const 0) (i32.const {start}) (i32.const {size}) $\"{data}\") (i32.const 0))"
        ));
        assert_eq!(effects.body, Some(Bytes::from(wanted)), "{start} {size} {data}");
    }
}

#[test]
fn as_strict_as_envoy_a_body_is_spliced_at_its_ends_only() {
    let mut settings = settings();
    settings.compatibility.strictness = model::Strictness::Envoy;
    let body = on_body(
        r#"
        (call $expect (call $set_buffer (i32.const 0) (i32.const 1) (i32.const 3) $"ab") (i32.const 2))
        (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 2) $"ab") (i32.const 2))
        (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $"a") (i32.const 0))
        (call $expect (call $set_buffer (i32.const 0) (i32.const 6) (i32.const 0) $"b") (i32.const 0))"#,
    );
    let bench = Bench::try_start(&module(&body), settings).unwrap();
    assert_eq!(effects_of(&bench).body, Some(Bytes::from("ahellob")));
}

#[test]
fn no_other_buffer_is_changed() {
    let effects = body_after(
        r#"
        (call $expect (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) $"a") (i32.const 1))
        (call $expect (call $set_buffer (i32.const 7) (i32.const 0) (i32.const 0) $"a") (i32.const 2))
        (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 9)) (i32.const 6))"#,
    );
    assert_eq!(effects, Effects::none());
}

#[test]
fn envoys_own_numbers_are_understood() {
    let action = |returned| body_after(&format!("(return (i32.const {returned}))")).action;
    let wanted = [Action::Continue, Action::Pause, Action::PauseReading, Action::Discard];
    assert_eq!([0, 1, 2, 3].map(action), wanted);
}

#[test]
fn a_head_that_is_all_gets_a_body() {
    let (_, effects) = on_request(
        r#"(call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $"new") (i32.const 0))"#,
    );
    assert_eq!(effects.body, Some(Bytes::from("new")));
}

#[test]
fn trailers_are_read_changed_and_added() {
    let body = r#"
        (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
          (call $expect (local.get 1) (i32.const 1))
          (call $expect_header (i32.const 1) $"x-sum" $"7")
          (call $expect (call $replace_header (i32.const 1) $"x-sum" $"8") (i32.const 0))
          (call $expect (call $add_header (i32.const 1) $"x-more" $"a") (i32.const 0))
          (call $expect (call $add_header (i32.const 1) $":path" $"/") (i32.const 2))
          (call $expect (call $get_buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect_out $"held")
          (i32.const 0))"#;
    let bench = Bench::start(body);
    let (instance, mut exchange) = (bench.instance(), exchange());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    exchange.request_trailers = Some(trailers);
    let stream = begin(&instance, &mut exchange);
    let effects = instance.on_request_trailers(stream, &mut exchange, Bytes::from("held"));
    assert_eq!(effects, Ok(Effects::none()));
    let trailers = exchange.request_trailers.unwrap();
    assert_eq!((trailers.len(), &trailers["x-sum"]), (2, &"8".parse().unwrap()));

    let bench = Bench::start(&on_body(
        r#"(call $expect (call $add_header (i32.const 1) $"x-new" $"1") (i32.const 0))"#,
    ));
    let (instance, mut exchange) = (bench.instance(), super::exchange());
    let stream = begin(&instance, &mut exchange);
    instance.on_request_body(stream, &mut exchange, Bytes::new(), EndOfStream::Yes).unwrap();
    assert_eq!(exchange.request_trailers.unwrap()["x-new"], "1");
}

/// A guest in which, at its tick, the root context does this to the stream with context 2.
fn at_tick(deed: &str) -> String {
    format!(
        "(func (export \"proxy_on_tick\") (param i32)
           (call $expect (call $set_context (i32.const 2)) (i32.const 0))
           {deed})"
    )
}

fn held(bench: &Bench) -> (Rc<Instance>, StreamId) {
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    let parked = Parked {
        exchange: Some(exchange),
        body: Bytes::from_static(b"hello"),
        body_changed: false,
    };
    instance.park(stream, Direction::Request, parked);
    (instance, stream)
}

fn poll(instance: &Instance, stream: StreamId) -> Poll<Resumed> {
    instance.poll_resumed(stream, Direction::Request, &Context::from_waker(Waker::noop()))
}

#[test]
fn a_held_stream_is_reached_and_resumed_by_the_root_context() {
    let bench = Bench::start(&at_tick(
        r#"
        (call $expect_header (i32.const 0) $":path" $"/shop?q=1")
        (call $expect_property $"request\00path" $"/shop?q=1")
        (call $expect (call $add_header (i32.const 0) $"x-user" $"ann") (i32.const 0))
        (call $expect (call $set_property $"user" $"ann") (i32.const 0))
        (call $expect (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $"oh, ") (i32.const 0))
        (call $expect (call $continue (i32.const 1)) (i32.const 0))
        (call $expect (call $continue (i32.const 0)) (i32.const 0))"#,
    ));
    let (instance, stream) = held(&bench);
    assert!(poll(&instance, stream).is_pending());
    instance.on_tick();
    assert_eq!(poll(&instance, stream), Poll::Ready(Resumed::Continue));
    assert!(poll(&instance, stream).is_pending(), "it is told once");
    let parked = instance.unpark(stream, Direction::Request).unwrap();
    let exchange = parked.exchange.unwrap();
    assert_eq!(exchange.request.headers["x-user"], "ann");
    assert!(exchange.is_head_changed() && exchange.state("user").is_some());
    assert_eq!((&parked.body[..], parked.body_changed), (&b"oh, hello"[..], true));
}

#[test]
fn a_held_stream_is_answered_once_or_closed_by_the_root_context() {
    let reply = |status: u16| {
        format!(
            "(call $expect (call $reply (i32.const {status}) $\"\" $\"\" $\"\" (i32.const -1)) (i32.const 0))"
        )
    };
    let bench = Bench::start(&at_tick(&[reply(401), reply(403)].concat()));
    let (instance, stream) = held(&bench);
    instance.on_tick();
    match poll(&instance, stream) {
        Poll::Ready(Resumed::Reply(local)) => assert_eq!(local.reply.status, 401),
        other => panic!("{other:?}"),
    }
    let bench = Bench::start(&at_tick("(call $expect (call $close (i32.const 0)) (i32.const 0))"));
    let (instance, stream) = held(&bench);
    instance.on_tick();
    assert_eq!(poll(&instance, stream), Poll::Ready(Resumed::Close));
}

#[test]
fn a_trap_in_another_context_fails_held_streams_and_gives_them_back() {
    let bench = Bench::start(&at_tick("unreachable"));
    let (instance, stream) = held(&bench);
    instance.on_tick();
    assert_eq!(poll(&instance, stream), Poll::Ready(Resumed::Failed));
    let parked = instance.unpark(stream, Direction::Request).unwrap();
    assert_eq!(parked.exchange.unwrap().request.path, "/shop?q=1");
}

#[test]
fn a_context_that_is_not_done_lives_until_it_is_or_is_dropped() {
    let body = |tick: &str| {
        format!(
            "(global $deleted (mut i32) (i32.const 0))
             (func (export \"proxy_on_done\") (param i32) (result i32) (i32.const 0))
             (func (export \"proxy_on_delete\") (param i32)
               (call $expect (local.get 0) (i32.const 2))
               (global.set $deleted (i32.add (global.get $deleted) (i32.const 1))))
             (func (export \"proxy_on_queue_ready\") (param i32 i32)
               (call $expect (global.get $deleted) (local.get 1)))
             {}",
            at_tick(tick)
        )
    };
    let done = "(call $expect (call $done) (i32.const 0))";
    let bench = Bench::start(&body(done));
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    assert_eq!(instance.close_stream(stream, &mut exchange), Closed::Lingers);
    instance.on_queue_ready(0);
    instance.on_tick();
    instance.on_queue_ready(1);
    instance.drop_context(stream);
    instance.on_queue_ready(1);
    assert!(instance.is_alive());

    let bench = Bench::start(&body(""));
    let instance = bench.instance();
    let stream = begin(&instance, &mut exchange);
    assert_eq!(instance.close_stream(stream, &mut exchange), Closed::Lingers);
    instance.drop_context(stream);
    instance.on_queue_ready(1);
    assert!(instance.is_alive());
}

#[test]
fn a_pause_holds_the_head_alone_where_that_is_allowed() {
    let mut settings = settings();
    settings.compatibility.headers_pause = model::HeadersPause::Head;
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (i32.const 1))"#;
    let text = module_of("proxy_abi_version_0_1_0", body);
    let bench = Bench::try_start(&text, settings).unwrap();
    assert_eq!(bench.request(&mut exchange()).unwrap().action, Action::PauseHead);
}
