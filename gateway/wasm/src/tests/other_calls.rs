//! Configuration, properties, metrics, foreign functions, contexts.

use super::*;
use crate::tests::guest::{module, on_request as request_body};

#[test]
fn the_configuration_is_readable_while_configuring_and_only_then() {
    let body = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $expect (local.get 1) (i32.const 7))
          (call $expect (call $get_buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect_out $"{\22a\22:1}")
          (call $expect (call $get_buffer (i32.const 7) (i32.const 1) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect_out $"\22a\22")
          (call $expect (call $get_buffer (i32.const 7) (i32.const 99) (i32.const 3) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect (call $out_length) (i32.const 0))
          (call $expect (call $buffer_status (i32.const 7) (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect (i32.load (i32.const 512)) (i32.const 7))
          (call $expect (call $get_configuration (i32.const 512) (i32.const 516)) (i32.const 0))
          (call $expect (call $out_length) (i32.const 7))
          (call $expect (call $get_buffer (i32.const 9) (i32.const 0) (i32.const 1) (i32.const 512) (i32.const 516)) (i32.const 2))
          (i32.const 1))"#;
    let after = request_body(
        "(call $expect (call $get_buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516)) (i32.const 1))",
    );
    let bench = Bench::start(&format!("{body}{after}"));
    bench.request(&mut exchange()).unwrap();
}

#[test]
fn properties_of_the_plugin_and_of_the_request_are_read() {
    let (exchange, _) = on_request(
        r#"
        (call $expect_property $"plugin_root_id" $"root")
        (call $expect_property $"plugin_name" $"shop.guest")
        (call $expect_property $"plugin_vm_id" $"")
        (call $expect_property $"request\00path" $"/shop?q=1")
        (call $expect_property $"request\00method" $"GET")
        (call $expect (call $get_property $"no\00such" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $get_property $"\ff" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $set_property $"user" $"ann") (i32.const 0))
        (call $expect (call $set_property $"deep\00er" $"x") (i32.const 0))
        (call $expect_property $"user" $"ann")
        (call $expect_property $"filter_state\00wasm.user" $"ann")
        (call $expect_property $"deep\00er" $"x")
        (call $expect (call $set_property $"" $"x") (i32.const 2))
        (call $expect (call $set_property $"large" (i32.const 0) (i32.const 65536)) (i32.const 0))
        (call $expect (call $get_property $"large" (i32.const 512) (i32.const 516)) (i32.const 1))"#,
    );
    assert_eq!(exchange.state("user").map(|value| &value[..]), Some(&b"ann"[..]));
    assert_eq!(exchange.state("deep.er").map(|value| &value[..]), Some(&b"x"[..]));
}

#[test]
fn the_root_context_has_no_request() {
    let bench = Bench::start(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $expect_property $"plugin_root_id" $"root")
          (call $expect (call $get_property $"request\00path" (i32.const 512) (i32.const 516)) (i32.const 1))
          (call $expect (call $set_property $"user" $"ann") (i32.const 1))
          (call $expect (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)) (i32.const 2))
          (call $expect (call $reply (i32.const 200) $"" $"" $"" (i32.const -1)) (i32.const 0))
          (i32.const 1))"#,
    );
    assert_eq!(bench.request(&mut exchange()), Ok(Effects::none()));
}

#[test]
fn metrics_are_defined_counted_and_read() {
    let (_, effects) = on_request(
        r#"
        (local $counter i32)
        (local $gauge i32)
        (local $histogram i32)
        (call $expect (call $define (i32.const 0) $"hits" (i32.const 512)) (i32.const 0))
        (local.set $counter (i32.load (i32.const 512)))
        (call $expect (call $define (i32.const 1) $"open" (i32.const 512)) (i32.const 0))
        (local.set $gauge (i32.load (i32.const 512)))
        (call $expect (call $define (i32.const 2) $"size" (i32.const 512)) (i32.const 0))
        (local.set $histogram (i32.load (i32.const 512)))
        (call $expect (call $increment (local.get $counter) (i64.const 2)) (i32.const 0))
        (call $expect (call $record (local.get $counter) (i64.const 3)) (i32.const 0))
        (call $expect (call $get_metric (local.get $counter) (i32.const 520)) (i32.const 0))
        (call $expect (i32.wrap_i64 (i64.load (i32.const 520))) (i32.const 5))
        (call $expect (call $increment (local.get $counter) (i64.const -1)) (i32.const 2))
        (call $expect (call $record (local.get $gauge) (i64.const 9)) (i32.const 0))
        (call $expect (call $increment (local.get $gauge) (i64.const -4)) (i32.const 0))
        (call $expect (call $get_metric (local.get $gauge) (i32.const 520)) (i32.const 0))
        (call $expect (i32.wrap_i64 (i64.load (i32.const 520))) (i32.const 5))
        (call $expect (call $record (local.get $histogram) (i64.const 9)) (i32.const 0))
        (call $expect (call $increment (local.get $histogram) (i64.const 1)) (i32.const 2))
        (call $expect (call $get_metric (local.get $histogram) (i32.const 520)) (i32.const 2))
        (call $expect (call $record (i32.const 77777) (i64.const 1)) (i32.const 1))
        (call $expect (call $get_metric (i32.const -1) (i32.const 520)) (i32.const 1))
        (call $expect (call $define (i32.const 3) $"hits" (i32.const 512)) (i32.const 2))
        (call $expect (call $define (i32.const 0) $"" (i32.const 512)) (i32.const 2))"#,
    );
    assert_eq!(effects, Effects::none());
}

#[test]
fn the_log_and_the_clocks_answer() {
    on_request(
        r#"
        (call $expect (call $log (i32.const 1) $"a line") (i32.const 0))
        (call $expect (call $log (i32.const 6) $"a line") (i32.const 2))
        (call $expect (call $get_log_level (i32.const 512)) (i32.const 0))
        (call $expect (call $now (i32.const 520)) (i32.const 0))
        (if (i64.eqz (i64.load (i32.const 520))) (then unreachable))
        (call $expect (call $done) (i32.const 0))
        (call $expect (call $pthread_equal (i32.const 3) (i32.const 3)) (i32.const 1))
        (call $memory_grew (i32.const 0))"#,
    );
}

#[test]
fn foreign_functions_answer_or_are_not_found() {
    let (exchange, _) = on_request(
        r#"
        (call $expect (call $foreign $"no_such" $"" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $foreign $"verify_signature" $"\0a\7f" (i32.const 512) (i32.const 516)) (i32.const 2))
        (call $expect (call $foreign $"verify_signature" $"\0a\03md5" (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect_out $"\12\1ethe hash function is not known")
        (call $expect (call $foreign $"clear_route_cache" $"" (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (call $foreign $"set_envoy_filter_state" $"\0a\04user\12\03ann" (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect_property $"filter_state\00user" $"ann")"#,
    );
    assert!(exchange.is_head_changed());
}

#[test]
fn another_contexts_request_is_never_touched() {
    let bench = Bench::start(&request_body(
        r#"
        (call $expect (call $set_context (i32.const 77)) (i32.const 2))
        (call $expect (call $set_context (i32.const 1)) (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"1") (i32.const 2))
        (call $expect (call $get_property $"request\00path" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $set_context (local.get $context)) (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"1") (i32.const 0))
        (if (i32.eq (local.get $context) (i32.const 3)) (then
          (call $expect (call $set_context (i32.const 2)) (i32.const 0))
          (call $expect (call $add_header (i32.const 0) $"x-b" $"1") (i32.const 2))))"#,
    ));
    for _ in 0..2 {
        let mut exchange = exchange();
        bench.request(&mut exchange).unwrap();
        assert_eq!(exchange.request.headers.get_all("x-b").iter().count(), 1);
    }
}

#[test]
fn the_end_of_a_stream_is_done_log_delete_once_and_only_after_a_beginning() {
    let body = r#"
        (global $ended (mut i32) (i32.const 0))
        (func (export "proxy_on_done") (param i32) (result i32)
          (call $expect (global.get $ended) (i32.const 0)) (global.set $ended (i32.const 1)) (i32.const 1))
        (func (export "proxy_on_log") (param i32)
          (call $expect (global.get $ended) (i32.const 1)) (global.set $ended (i32.const 2))
          (call $expect_header (i32.const 2) $":status" $"200")
          (call $expect (call $add_header (i32.const 2) $"x-b" $"1") (i32.const 2))
          (call $expect (call $set_property $"logged" $"yes") (i32.const 0)))
        (func (export "proxy_on_delete") (param i32)
          (call $expect (global.get $ended) (i32.const 2)) (global.set $ended (i32.const 3)))"#;
    let bench = Bench::try_start(&module(body), settings()).unwrap();
    let (instance, mut exchange) = (bench.instance(), answered());
    instance.close_stream(instance.open_stream(), &mut exchange);
    assert!(exchange.state("logged").is_none());
    let stream = begin(&instance, &mut exchange);
    instance.close_stream(stream, &mut exchange);
    instance.close_stream(stream, &mut exchange);
    assert!(exchange.state("logged").is_some());
    assert!(instance.is_alive());
}
