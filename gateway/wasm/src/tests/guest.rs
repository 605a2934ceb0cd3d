//! Guests for the tests: a preamble with every import and a few words, and the test's own functions.

use std::fmt::Write;

/// A module of a preamble and a body. In the body, `$"text"` stands for the two arguments address and length
/// of that text, with escapes as in WebAssembly text (`\00`).
pub(crate) fn module(body: &str) -> String {
    module_of("proxy_abi_version_0_2_1", body)
}

/// The same under another ABI version.
pub(super) fn module_of(marker: &str, body: &str) -> String {
    let (body, data) = place_texts(&format!("{WORDS}\n{body}"));
    format!(
        "(module {IMPORTS}\n (memory (export \"memory\") 1)\n \
         (func (export \"{marker}\"))\n {body}\n {data})"
    )
}

/// A body with this `proxy_on_request_headers`, which goes on at its end.
pub(crate) fn on_request(body: &str) -> String {
    format!(
        "(func $on_request_headers (export \"proxy_on_request_headers\")
            (param $context i32) (param $fields i32) (param $end i32) (result i32)
            {body} (i32.const 0))"
    )
}

/// A body with this `proxy_on_response_headers`.
pub(super) fn on_response(body: &str) -> String {
    on_request(body).replace("request", "response")
}

fn place_texts(body: &str) -> (String, String) {
    let (mut placed, mut data) = (String::new(), String::new());
    let mut address = 1024;
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("$\"") {
        let (text, after) = after.split_once('"').expect("a text ends");
        let length = text.len() - 2 * text.matches('\\').count();
        write!(placed, "{before}(i32.const {address}) (i32.const {length})").unwrap();
        writeln!(data, "(data (i32.const {address}) \"{text}\")").unwrap();
        address += length;
        rest = after;
    }
    placed.push_str(rest);
    (placed, data)
}

const IMPORTS: &str = r#"
 (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_log_level" (func $get_log_level (param i32) (result i32)))
 (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
 (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick (param i32) (result i32)))
 (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_buffer_status" (func $buffer_status (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_size" (func $map_size (param i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_pairs" (func $get_pairs (param i32 i32 i32) (result i32)))
 (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_value" (func $get_header (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_add_header_map_value" (func $add_header (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_replace_header_map_value" (func $replace_header (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_remove_header_map_value" (func $remove_header (param i32 i32 i32) (result i32)))
 (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
 (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
 (import "env" "proxy_get_status" (func $get_status (param i32 i32 i32) (result i32)))
 (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_call" (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_stream" (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_send" (func $grpc_send (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
 (import "env" "proxy_grpc_close" (func $grpc_close (param i32) (result i32)))
 (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_register_shared_queue" (func $register_queue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_resolve_shared_queue" (func $resolve_queue (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
 (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
 (import "env" "proxy_get_metric" (func $get_metric (param i32 i32) (result i32)))
 (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_effective_context" (func $set_context (param i32) (result i32)))
 (import "env" "proxy_done" (func $done (result i32)))
 (import "env" "proxy_get_configuration" (func $get_configuration (param i32 i32) (result i32)))
 (import "env" "proxy_continue_request" (func $continue_request))
 (import "env" "proxy_continue_response" (func $continue_response (result i32)))
 (import "env" "proxy_clear_route_cache" (func $clear_route_cache (result i32)))
 (import "env" "pthread_equal" (func $pthread_equal (param i32 i32) (result i32)))
 (import "env" "emscripten_notify_memory_growth" (func $memory_grew (param i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
 (import "wasi_unstable" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
 (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"#;

/// Host calls put address and length at 512 and 516; `out` gives them, `expect` and `expect_out` trap.
const WORDS: &str = r#"
 (global $next (mut i32) (i32.const 32768))
 (func $malloc (export "malloc") (param $size i32) (result i32)
   (global.get $next)
   (global.set $next (i32.add (global.get $next) (local.get $size))))
 (func $expect (param $got i32) (param $wanted i32)
   (if (i32.ne (local.get $got) (local.get $wanted)) (then unreachable)))
 (func $out_length (result i32) (i32.load (i32.const 516)))
 (func $expect_out (param $wanted i32) (param $length i32)
   (local $nth i32)
   (call $expect (call $out_length) (local.get $length))
   (block $end (loop $next
     (br_if $end (i32.ge_u (local.get $nth) (local.get $length)))
     (call $expect
       (i32.load8_u (i32.add (i32.load (i32.const 512)) (local.get $nth)))
       (i32.load8_u (i32.add (local.get $wanted) (local.get $nth))))
     (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
     (br $next))))
 (func $expect_header (param $map i32) (param $name i32) (param $n i32) (param $value i32) (param $v i32)
   (call $expect
     (call $get_header (local.get $map) (local.get $name) (local.get $n) (i32.const 512) (i32.const 516))
     (i32.const 0))
   (call $expect_out (local.get $value) (local.get $v)))
 (func $expect_property (param $path i32) (param $p i32) (param $value i32) (param $v i32)
   (call $expect
     (call $get_property (local.get $path) (local.get $p) (i32.const 512) (i32.const 516)) (i32.const 0))
   (call $expect_out (local.get $value) (local.get $v)))
"#;
