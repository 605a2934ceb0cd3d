//! Every host call of plugins with any arguments and any memory: a guest reads the input as a body, and then as a
//! script of calls, each a number and twelve arguments of four bytes.

use std::cell::RefCell;
use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::StatusCode;
use portcullis_exchange::Exchange;
use portcullis_model as model;
use portcullis_telemetry::Registry;
use portcullis_wasm::{
    Begun, CallKind, CallReply, CallTarget, CallTargets, EndOfStream, Engine, NodeMetadata, Plugin,
    WorkerInstances,
};

/// Names of calls with their arguments: `i` for i32, `I` for i64.
const CALLS: [(&str, &str, &str); 53] = [
    ("env", "proxy_log", "iii"),
    ("env", "proxy_get_log_level", "i"),
    ("env", "proxy_get_current_time_nanoseconds", "i"),
    ("env", "proxy_set_tick_period_milliseconds", "i"),
    ("env", "proxy_get_buffer_bytes", "iiiii"),
    ("env", "proxy_set_buffer_bytes", "iiiii"),
    ("env", "proxy_get_buffer_status", "iii"),
    ("env", "proxy_get_header_map_size", "ii"),
    ("env", "proxy_get_header_map_pairs", "iii"),
    ("env", "proxy_set_header_map_pairs", "iii"),
    ("env", "proxy_get_header_map_value", "iiiii"),
    ("env", "proxy_add_header_map_value", "iiiii"),
    ("env", "proxy_replace_header_map_value", "iiiii"),
    ("env", "proxy_remove_header_map_value", "iii"),
    ("env", "proxy_continue_stream", "i"),
    ("env", "proxy_close_stream", "i"),
    ("env", "proxy_get_status", "iii"),
    ("env", "proxy_send_local_response", "iiiiiiii"),
    ("env", "proxy_http_call", "iiiiiiiiii"),
    ("env", "proxy_grpc_call", "iiiiiiiiiiii"),
    ("env", "proxy_grpc_stream", "iiiiiiiii"),
    ("env", "proxy_grpc_send", "iiii"),
    ("env", "proxy_grpc_cancel", "i"),
    ("env", "proxy_grpc_close", "i"),
    ("env", "proxy_get_shared_data", "iiiii"),
    ("env", "proxy_set_shared_data", "iiiii"),
    ("env", "proxy_register_shared_queue", "iii"),
    ("env", "proxy_resolve_shared_queue", "iiiii"),
    ("env", "proxy_enqueue_shared_queue", "iii"),
    ("env", "proxy_dequeue_shared_queue", "iii"),
    ("env", "proxy_define_metric", "iiii"),
    ("env", "proxy_record_metric", "iI"),
    ("env", "proxy_increment_metric", "iI"),
    ("env", "proxy_get_metric", "ii"),
    ("env", "proxy_get_property", "iiii"),
    ("env", "proxy_set_property", "iiii"),
    ("env", "proxy_call_foreign_function", "iiiiii"),
    ("env", "proxy_set_effective_context", "i"),
    ("env", "proxy_done", ""),
    ("env", "proxy_get_configuration", "ii"),
    ("env", "proxy_continue_request", ""),
    ("env", "proxy_continue_response", ""),
    ("env", "proxy_clear_route_cache", ""),
    ("env", "pthread_equal", "ii"),
    ("wasi_snapshot_preview1", "fd_write", "iiii"),
    ("wasi_snapshot_preview1", "random_get", "ii"),
    ("wasi_snapshot_preview1", "environ_get", "ii"),
    ("wasi_snapshot_preview1", "environ_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "clock_time_get", "iIi"),
    ("wasi_snapshot_preview1", "clock_res_get", "ii"),
    ("wasi_snapshot_preview1", "poll_oneoff", "iiii"),
    ("wasi_snapshot_preview1", "fd_fdstat_get", "ii"),
    ("wasi_snapshot_preview1", "args_sizes_get", "ii"),
];

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// A plugin that runs scripts, started once for each thread.
struct Bench {
    plugin: Arc<Plugin>,
    worker: WorkerInstances,
}

/// Whatever a guest asks for, the host neither panics nor fails: no call traps.
pub(crate) fn run(input: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(start);
        let Some(instance) = bench.worker.instance(&bench.plugin) else {
            panic!("an instance failed");
        };
        let stream = instance.open_stream();
        let mut exchange = Box::new(Exchange::for_test());
        let body = Bytes::copy_from_slice(input);
        let effects = instance.on_request_body(stream, &mut exchange, body, EndOfStream::Yes);
        if let Err(fault) = effects {
            panic!("a script of host calls failed: {fault}");
        }
        instance.close_stream(stream, &mut exchange);
        answer_calls(&bench.worker);
    });
}

/// Every call that the guest made fails, so that it may make others.
fn answer_calls(worker: &WorkerInstances) {
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(next) = pin!(worker.next_call()).poll(&mut context) {
        let Some(Begun { caller, call, .. }) = next else { continue };
        let Some(caller) = caller.upgrade() else { continue };
        let (headers, trailers) = (call.headers, call.trailers);
        let reply = CallReply { status: StatusCode::OK, headers, body: call.body, trailers };
        match call.kind {
            CallKind::Http => caller.on_http_call_response(call.id, reply),
            CallKind::GrpcUnary | CallKind::GrpcStream => {
                caller.on_grpc_message(call.id, reply.body);
                caller.on_grpc_close(call.id, 0, Bytes::new());
            }
        }
    }
}

/// One cluster, named `a` for short.
fn call_targets() -> Arc<CallTargets> {
    let name = model::ClusterName { host: "a.example".into(), port: 80, subset: "".into() };
    CallTargets::new(std::iter::once(CallTarget {
        name: &name,
        service: "a",
        namespace: "default",
    }))
}

fn start() -> Bench {
    let started = try_start();
    started.unwrap_or_else(|error| panic!("the guest does not start: {error}"))
}

fn try_start() -> Result<Bench, Box<dyn std::error::Error>> {
    let engine = Engine::for_node(NodeMetadata::default())?;
    engine.set_call_targets(call_targets());
    let module = engine.compile(&wat::parse_str(guest()?)?)?;
    let settings = model::Plugin::for_test("fuzz");
    let metrics = Registry::new().plugin_metrics("WasmPlugin/default/fuzz");
    let plugin = Plugin::start(&engine, &module, &Arc::new(settings), 1, metrics)?;
    Ok(Bench { plugin, worker: WorkerInstances::new(0) })
}

/// The body is put at 4096, where the script begins; the guest's allocator gives from the second half of its memory.
fn guest() -> Result<String, std::fmt::Error> {
    let (mut imports, mut steps) = (String::new(), String::new());
    for (number, (module, name, arguments)) in CALLS.iter().enumerate() {
        let (mut types, mut loads) = (String::new(), String::new());
        for (place, kind) in arguments.chars().enumerate() {
            let width = if kind == 'I' { "i64" } else { "i32" };
            write!(types, " {width}")?;
            write!(loads, " ({width}.load offset={} (local.get $at))", 1 + 4 * place)?;
        }
        writeln!(
            imports,
            "(import \"{module}\" \"{name}\" (func $call{number} (param{types}) (result i32)))"
        )?;
        writeln!(
            steps,
            "(if (i32.eq (local.get $call) (i32.const {number})) (then (drop (call $call{number}{loads}))))"
        )?;
    }
    Ok(format!(
        r#"(module {imports}
        (memory (export "memory") 4)
        (global $next (mut i32) (i32.const 0))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param $size i32) (result i32)
          (if (i32.gt_u (local.get $size) (i32.const 65536)) (then (return (i32.const 0))))
          (global.set $next (i32.and (i32.add (global.get $next) (local.get $size)) (i32.const 0xffff)))
          (i32.add (i32.const 131072) (global.get $next)))
        (func (export "proxy_on_request_body") (param $context i32) (param $size i32) (param $end i32) (result i32)
          (local $at i32) (local $last i32) (local $call i32)
          (drop (call $call4 (i32.const 0) (i32.const 0) (i32.const 16384) (i32.const 8) (i32.const 12)))
          (memory.copy (i32.const 4096) (i32.load (i32.const 8)) (i32.load (i32.const 12)))
          (local.set $at (i32.const 4096))
          (local.set $last (i32.add (i32.const 4096) (i32.load (i32.const 12))))
          (block $end (loop $next
            (br_if $end (i32.gt_u (i32.add (local.get $at) (i32.const 49)) (local.get $last)))
            (local.set $call (i32.rem_u (i32.load8_u (local.get $at)) (i32.const {count})))
            {steps}
            (local.set $at (i32.add (local.get $at) (i32.const 49)))
            (br $next)))
          (i32.const 0)))"#,
        count = CALLS.len(),
    ))
}
