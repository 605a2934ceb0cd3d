//! Arguments that are wrong, one at a time, in a callback in which the call is good otherwise.

use super::calls::HEAD;

/// Which call, what is wrong, and the call itself.
pub(super) const WRONG: [(&str, &str, &str); 69] = [
    ("proxy_log", "a level that is none", r#"(call $log (i32.const 6) $"hi")"#),
    (
        "proxy_log",
        "text outside of memory",
        "(call $log (i32.const 2) (i32.const 65530) (i32.const 99))",
    ),
    (
        "proxy_log",
        "a length that overflows",
        "(call $log (i32.const 2) (i32.const 8) (i32.const -1))",
    ),
    ("proxy_get_log_level", "result outside of memory", "(call $get_log_level (i32.const 65534))"),
    (
        "proxy_get_current_time_nanoseconds",
        "result outside of memory",
        "(call $now (i32.const 65532))",
    ),
    (
        "proxy_get_current_time_nanoseconds",
        "result at an odd address",
        "(call $now (i32.const 521))",
    ),
    (
        "proxy_get_buffer_bytes",
        "a buffer that is none",
        "(call $get_buffer (i32.const 9) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_buffer_bytes",
        "a start beyond the end",
        "(call $get_buffer (i32.const 0) (i32.const 99) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_buffer_bytes",
        "start and size overflow",
        "(call $get_buffer (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_buffer_bytes",
        "result outside of memory",
        "(call $get_buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const -4) (i32.const 516))",
    ),
    (
        "proxy_set_buffer_bytes",
        "a buffer that is none",
        r#"(call $set_buffer (i32.const 9) (i32.const 0) (i32.const 0) $"a")"#,
    ),
    (
        "proxy_set_buffer_bytes",
        "the configuration",
        r#"(call $set_buffer (i32.const 7) (i32.const 0) (i32.const 0) $"a")"#,
    ),
    (
        "proxy_set_buffer_bytes",
        "the other half's body",
        r#"(call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) $"a")"#,
    ),
    (
        "proxy_set_buffer_bytes",
        "bytes outside of memory",
        "(call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65000) (i32.const 9999))",
    ),
    (
        "proxy_get_buffer_status",
        "a buffer that is none",
        "(call $buffer_status (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_buffer_status",
        "result outside of memory",
        "(call $buffer_status (i32.const 0) (i32.const 512) (i32.const -1))",
    ),
    (
        "proxy_get_header_map_size",
        "a map that is none",
        "(call $map_size (i32.const 8) (i32.const 512))",
    ),
    (
        "proxy_get_header_map_size",
        "result outside of memory",
        "(call $map_size (i32.const 0) (i32.const 65535))",
    ),
    (
        "proxy_get_header_map_pairs",
        "a map that is none",
        "(call $get_pairs (i32.const 8) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_header_map_pairs",
        "a map that is not there yet",
        "(call $get_pairs (i32.const 2) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_get_header_map_pairs",
        "result outside of memory",
        "(call $get_pairs (i32.const 0) (i32.const 65533) (i32.const 516))",
    ),
    (
        "proxy_set_header_map_pairs",
        "bytes that are no map",
        r#"(call $set_pairs (i32.const 0) $"\ff\ff\ff\ff")"#,
    ),
    (
        "proxy_set_header_map_pairs",
        "bytes after the last pair",
        r#"(call $set_pairs (i32.const 0) $"\00\00\00\00\00")"#,
    ),
    (
        "proxy_set_header_map_pairs",
        "a map that is not there yet",
        r#"(call $set_pairs (i32.const 2) $"\00\00\00\00")"#,
    ),
    (
        "proxy_set_header_map_pairs",
        "bytes outside of memory",
        "(call $set_pairs (i32.const 0) (i32.const 65000) (i32.const 9999))",
    ),
    (
        "proxy_get_header_map_value",
        "a map that is none",
        r#"(call $get_header (i32.const 8) $"x-a" (i32.const 512) (i32.const 516))"#,
    ),
    (
        "proxy_get_header_map_value",
        "no name",
        r#"(call $get_header (i32.const 0) $"" (i32.const 512) (i32.const 516))"#,
    ),
    (
        "proxy_get_header_map_value",
        "a name that none can be",
        r#"(call $get_header (i32.const 0) $"x\00\0aa" (i32.const 512) (i32.const 516))"#,
    ),
    (
        "proxy_get_header_map_value",
        "a name outside of memory",
        "(call $get_header (i32.const 0) (i32.const 65535) (i32.const 2) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_add_header_map_value",
        "no name (not set, and counted)",
        r#"(call $add_header (i32.const 0) $"" $"v")"#,
    ),
    (
        "proxy_add_header_map_value",
        "a line break in the name (not set, and counted)",
        r#"(call $add_header (i32.const 0) $"x\0ay" $"v")"#,
    ),
    (
        "proxy_add_header_map_value",
        "CR LF in the value (not set, and counted)",
        r#"(call $add_header (i32.const 0) $"x-v" $"a\0d\0ab: c")"#,
    ),
    (
        "proxy_add_header_map_value",
        "NUL in the value (not set, and counted)",
        r#"(call $add_header (i32.const 0) $"x-v" $"a\00b")"#,
    ),
    (
        "proxy_add_header_map_value",
        "a pseudo-header that is none",
        r#"(call $add_header (i32.const 0) $":status" $"200")"#,
    ),
    (
        "proxy_add_header_map_value",
        "what frames the message (no effect)",
        r#"(call $add_header (i32.const 0) $"transfer-encoding" $"chunked")"#,
    ),
    (
        "proxy_add_header_map_value",
        "a value outside of memory",
        r#"(call $add_header (i32.const 0) $"x-v" (i32.const 65535) (i32.const 2))"#,
    ),
    (
        "proxy_replace_header_map_value",
        "a path that is none",
        r#"(call $replace_header (i32.const 0) $":path" $"no path")"#,
    ),
    (
        "proxy_replace_header_map_value",
        "an authority that is none",
        r#"(call $replace_header (i32.const 0) $":authority" $"a b")"#,
    ),
    (
        "proxy_replace_header_map_value",
        "a map that cannot be changed",
        r#"(call $replace_header (i32.const 6) $"x" $"y")"#,
    ),
    (
        "proxy_remove_header_map_value",
        "a name that none can be",
        r#"(call $remove_header (i32.const 0) $"x y")"#,
    ),
    (
        "proxy_remove_header_map_value",
        "a pseudo-header (no effect)",
        r#"(call $remove_header (i32.const 0) $":path")"#,
    ),
    ("proxy_continue_stream", "a stream that is none", "(call $continue (i32.const 4))"),
    ("proxy_close_stream", "a stream that is none", "(call $close (i32.const 4))"),
    (
        "proxy_send_local_response",
        "a status that is not final",
        r#"(call $reply (i32.const 100) $"" $"" $"" (i32.const -1))"#,
    ),
    (
        "proxy_send_local_response",
        "headers that are no map",
        r#"(call $reply (i32.const 200) $"" $"" $"\09" (i32.const -1))"#,
    ),
    (
        "proxy_send_local_response",
        "a body outside of memory",
        r#"(call $reply (i32.const 200) $"" (i32.const 65000) (i32.const 9999) $"" (i32.const -1))"#,
    ),
    (
        "proxy_http_call",
        "a cluster that nobody named",
        "(call $http_call $\"nobody\" HEAD $\"\" $\"\" (i32.const 0) (i32.const 520))",
    ),
    (
        "proxy_http_call",
        "an address in place of a cluster",
        "(call $http_call $\"10.0.0.1:80\" HEAD $\"\" $\"\" (i32.const 0) (i32.const 520))",
    ),
    (
        "proxy_http_call",
        "no `:method`",
        r#"(call $http_call $"auth" $"" $"" $"" (i32.const 0) (i32.const 520))"#,
    ),
    (
        "proxy_http_call",
        "a body of 4 GiB",
        "(call $http_call $\"auth\" HEAD (i32.const 0) (i32.const -1) $\"\" (i32.const 0) (i32.const 520))",
    ),
    (
        "proxy_http_call",
        "result outside of memory",
        "(call $http_call $\"auth\" HEAD $\"\" $\"\" (i32.const 0) (i32.const 65533))",
    ),
    (
        "proxy_grpc_call",
        "a cluster that nobody named",
        r#"(call $grpc_call $"nobody" $"s" $"m" $"" $"" (i32.const 0) (i32.const 520))"#,
    ),
    (
        "proxy_grpc_stream",
        "a cluster that nobody named",
        r#"(call $grpc_stream $"nobody" $"s" $"m" $"" (i32.const 520))"#,
    ),
    (
        "proxy_grpc_send",
        "a call that is none",
        r#"(call $grpc_send (i32.const 99) $"m" (i32.const 0))"#,
    ),
    ("proxy_grpc_cancel", "a call that is none", "(call $grpc_cancel (i32.const 99))"),
    (
        "proxy_get_shared_data",
        "a key outside of memory",
        "(call $get_shared (i32.const 65535) (i32.const 9) (i32.const 512) (i32.const 516) (i32.const 520))",
    ),
    (
        "proxy_set_shared_data",
        "a revision that is not the present one",
        r#"(drop (call $set_shared $"other" $"v" (i32.const 0))) (call $set_shared $"other" $"v" (i32.const 7))"#,
    ),
    (
        "proxy_resolve_shared_queue",
        "a queue that is none",
        r#"(call $resolve_queue $"" $"none" (i32.const 520))"#,
    ),
    (
        "proxy_resolve_shared_queue",
        "another VM's queue",
        r#"(call $resolve_queue $"theirs" $"jobs" (i32.const 520))"#,
    ),
    (
        "proxy_enqueue_shared_queue",
        "a queue that is none",
        r#"(call $enqueue (i32.const 99) $"job")"#,
    ),
    (
        "proxy_dequeue_shared_queue",
        "a queue that is none",
        "(call $dequeue (i32.const 99) (i32.const 512) (i32.const 516))",
    ),
    (
        "proxy_define_metric",
        "a kind that is none",
        r#"(call $define (i32.const 3) $"hits" (i32.const 520))"#,
    ),
    (
        "proxy_record_metric",
        "a metric that is none",
        "(call $record (i32.const 9999) (i64.const 1))",
    ),
    (
        "proxy_get_property",
        "a path that names nothing",
        r#"(call $get_property $"no\00such" (i32.const 512) (i32.const 516))"#,
    ),
    (
        "proxy_get_property",
        "a path outside of memory",
        "(call $get_property (i32.const 65535) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    ("proxy_set_property", "no name", r#"(call $set_property $"" $"v")"#),
    (
        "proxy_set_property",
        "more than a request may carry (no effect)",
        r#"(drop (call $set_property $"small" $"1")) (call $set_property $"large" (i32.const 0) (i32.const 65536))"#,
    ),
    (
        "proxy_call_foreign_function",
        "a function that is none",
        r#"(call $foreign $"nothing" $"" (i32.const 512) (i32.const 516))"#,
    ),
    (
        "proxy_set_effective_context",
        "a context that is none",
        "(call $set_context (i32.const 4711))",
    ),
];

/// With the head of a call in its place.
pub(super) fn with_head(code: &str) -> String {
    code.replace("HEAD", HEAD)
}
