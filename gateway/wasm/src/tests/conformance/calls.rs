//! Every host call once, with arguments that are good somewhere.

/// A host call: its name, what is done before it, and the call itself, which leaves its status.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) before: &'static str,
    pub(super) code: &'static str,
}

const fn call(name: &'static str, code: &'static str) -> Row {
    Row { name, before: "", code }
}

const fn after(name: &'static str, before: &'static str, code: &'static str) -> Row {
    Row { name, before, code }
}

/// `:method GET`, `:path /`, `:authority a` in the map format.
pub(super) const HEAD: &str = r#"$"\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00""#;
const STREAM: &str =
    r#"(drop (call $grpc_stream $"auth" $"shop.Auth" $"Watch" $"" (i32.const 520)))"#;
const COUNTER: &str = r#"(drop (call $define (i32.const 0) $"hits" (i32.const 520)))"#;
const QUEUE: &str = r#"(drop (call $register_queue $"jobs" (i32.const 520)))"#;

/// In the order of the documentation.
pub(super) const CALLS: [Row; 53] = [
    call("proxy_log", r#"(call $log (i32.const 2) $"hi")"#),
    call("proxy_get_log_level", "(call $get_log_level (i32.const 512))"),
    call("proxy_get_current_time_nanoseconds", "(call $now (i32.const 512))"),
    call("proxy_set_tick_period_milliseconds", "(call $set_tick (i32.const 0))"),
    call(
        "proxy_get_buffer_bytes (request body)",
        "(call $get_buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_get_buffer_bytes (response body)",
        "(call $get_buffer (i32.const 1) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_get_buffer_bytes (call's reply)",
        "(call $get_buffer (i32.const 4) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_get_buffer_bytes (VM configuration)",
        "(call $get_buffer (i32.const 6) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_get_buffer_bytes (plugin configuration)",
        "(call $get_buffer (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_set_buffer_bytes (request body)",
        r#"(call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $"a")"#,
    ),
    call(
        "proxy_set_buffer_bytes (response body)",
        r#"(call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) $"a")"#,
    ),
    call(
        "proxy_get_buffer_status (request body)",
        "(call $buffer_status (i32.const 0) (i32.const 512) (i32.const 516))",
    ),
    call("proxy_get_header_map_size (request)", "(call $map_size (i32.const 0) (i32.const 512))"),
    call(
        "proxy_get_header_map_pairs (request)",
        "(call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_get_header_map_pairs (response)",
        "(call $get_pairs (i32.const 2) (i32.const 512) (i32.const 516))",
    ),
    call(
        "proxy_set_header_map_pairs (response)",
        r#"(call $set_pairs (i32.const 2) $"\01\00\00\00\03\00\00\00\01\00\00\00x-z\00z\00")"#,
    ),
    call(
        "proxy_get_header_map_value (there)",
        r#"(call $get_header (i32.const 0) $"x-a" (i32.const 512) (i32.const 516))"#,
    ),
    call(
        "proxy_get_header_map_value (not there)",
        r#"(call $get_header (i32.const 0) $"x-none" (i32.const 512) (i32.const 516))"#,
    ),
    call("proxy_add_header_map_value (request)", r#"(call $add_header (i32.const 0) $"x-n" $"1")"#),
    call(
        "proxy_replace_header_map_value (response)",
        r#"(call $replace_header (i32.const 2) $"x-n" $"1")"#,
    ),
    call(
        "proxy_remove_header_map_value (request)",
        r#"(call $remove_header (i32.const 0) $"x-never")"#,
    ),
    call("proxy_continue_stream (request)", "(call $continue (i32.const 0))"),
    call("proxy_close_stream (request)", "(call $close (i32.const 0))"),
    call("proxy_get_status", "(call $get_status (i32.const 520) (i32.const 512) (i32.const 516))"),
    call(
        "proxy_send_local_response",
        r#"(call $reply (i32.const 403) $"" $"no" $"" (i32.const -1))"#,
    ),
    call(
        "proxy_http_call",
        "(call $http_call $\"auth\" HEAD $\"\" $\"\" (i32.const 100) (i32.const 520))",
    ),
    call(
        "proxy_grpc_call",
        r#"(call $grpc_call $"auth" $"shop.Auth" $"Check" $"" $"m" (i32.const 100) (i32.const 520))"#,
    ),
    call(
        "proxy_grpc_stream",
        r#"(call $grpc_stream $"auth" $"shop.Auth" $"Watch" $"" (i32.const 520))"#,
    ),
    after(
        "proxy_grpc_send",
        STREAM,
        r#"(call $grpc_send (i32.load (i32.const 520)) $"m" (i32.const 0))"#,
    ),
    after("proxy_grpc_cancel", STREAM, "(call $grpc_cancel (i32.load (i32.const 520)))"),
    after("proxy_grpc_close", STREAM, "(call $grpc_close (i32.load (i32.const 520)))"),
    call(
        "proxy_get_shared_data (not there)",
        r#"(call $get_shared $"none" (i32.const 512) (i32.const 516) (i32.const 520))"#,
    ),
    call("proxy_set_shared_data", r#"(call $set_shared $"key" $"value" (i32.const 0))"#),
    call("proxy_register_shared_queue", r#"(call $register_queue $"jobs" (i32.const 520))"#),
    after(
        "proxy_resolve_shared_queue",
        QUEUE,
        r#"(call $resolve_queue $"" $"jobs" (i32.const 520))"#,
    ),
    after(
        "proxy_enqueue_shared_queue",
        QUEUE,
        r#"(call $enqueue (i32.load (i32.const 520)) $"job")"#,
    ),
    after(
        "proxy_dequeue_shared_queue (empty)",
        QUEUE,
        "(call $dequeue (i32.load (i32.const 520)) (i32.const 512) (i32.const 516))",
    ),
    call("proxy_define_metric", r#"(call $define (i32.const 0) $"hits" (i32.const 520))"#),
    after(
        "proxy_record_metric",
        COUNTER,
        "(call $record (i32.load (i32.const 520)) (i64.const 1))",
    ),
    after(
        "proxy_increment_metric",
        COUNTER,
        "(call $increment (i32.load (i32.const 520)) (i64.const 1))",
    ),
    after(
        "proxy_get_metric",
        COUNTER,
        "(call $get_metric (i32.load (i32.const 520)) (i32.const 528))",
    ),
    call(
        "proxy_get_property (plugin_root_id)",
        r#"(call $get_property $"plugin_root_id" (i32.const 512) (i32.const 516))"#,
    ),
    call(
        "proxy_get_property (request.path)",
        r#"(call $get_property $"request\00path" (i32.const 512) (i32.const 516))"#,
    ),
    call("proxy_set_property", r#"(call $set_property $"user" $"ann")"#),
    call(
        "proxy_call_foreign_function",
        r#"(call $foreign $"compress" $"a" (i32.const 512) (i32.const 516))"#,
    ),
    call("proxy_set_effective_context", "(call $set_context (i32.const 1))"),
    call("proxy_done", "(call $done)"),
    call("proxy_get_configuration", "(call $get_configuration (i32.const 512) (i32.const 516))"),
    call("proxy_continue_response", "(call $continue_response)"),
    call("proxy_clear_route_cache", "(call $clear_route_cache)"),
    call(
        "fd_write",
        r#"(i32.store (i32.const 528) (i32.const 512)) (i32.store (i32.const 532) (i32.const 1)) (call $fd_write (i32.const 1) (i32.const 528) (i32.const 1) (i32.const 536))"#,
    ),
    call("clock_time_get", "(call $clock (i32.const 0) (i64.const 0) (i32.const 520))"),
    call("random_get", "(call $random (i32.const 528) (i32.const 8))"),
];
