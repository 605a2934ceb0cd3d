//! What hostile guests have at hand: every host call, by a short name, and a memory.

use portcullis_testkit::module;

/// A whole module of these functions. `$"text"` stands for address and length of a text.
pub fn hostile(functions: &str) -> Vec<u8> {
    with_malloc(&format!("{MALLOC}\n{functions}"))
}

/// The same without the usual allocator.
pub fn with_malloc(functions: &str) -> Vec<u8> {
    bare(&format!("{IMPORTS}\n (memory (export \"memory\") 4)\n{MARKER}\n{functions}"))
}

/// A module of which nothing is given.
pub fn bare(text: &str) -> Vec<u8> {
    let (text, data) = place_texts(text);
    module(&format!("(module {text}\n{data})"))
}

/// The marker of the newest ABI.
pub const MARKER: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;

/// The usual allocator, in the last two pages.
pub const MALLOC: &str = r#"
 (global $next (mut i32) (i32.const 0))
 (func $malloc (export "malloc") (param $size i32) (result i32)
   (global.set $next (i32.and (i32.add (global.get $next) (local.get $size)) (i32.const 0xffff)))
   (i32.add (i32.const 131072) (global.get $next)))"#;

fn place_texts(text: &str) -> (String, String) {
    let (mut placed, mut data, mut address, mut rest) = (String::new(), String::new(), 1024, text);
    while let Some((before, after)) = rest.split_once("$\"") {
        let (text, after) = after.split_once('"').expect("a text ends");
        let length = text.len() - 2 * text.matches('\\').count();
        placed += &format!("{before}(i32.const {address}) (i32.const {length})");
        data += &format!("(data (i32.const {address}) \"{text}\")\n");
        address += length;
        rest = after;
    }
    (placed + rest, data)
}

/// Every host call; `env` unless it says otherwise.
pub const IMPORTS: &str = r#"
 (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
 (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick (param i32) (result i32)))
 (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_pairs" (func $get_pairs (param i32 i32 i32) (result i32)))
 (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
 (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
 (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
 (import "env" "proxy_send_local_response" (func $host_reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_stream" (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_send" (func $grpc_send (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
 (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
 (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
 (import "env" "proxy_done" (func $done (result i32)))
 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
