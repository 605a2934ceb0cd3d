//! What plugins cost: a request by what its filter does, a chain, a sandbox for each request, a trap, a load.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, StatusCode};
use portcullis_exchange::{Connection, Exchange, Protocol, RequestHead, ResponseHead};
use portcullis_model::{BreakerLimits, Isolation, Plugin as Settings, PluginLimits};
use portcullis_store::Store;
use portcullis_telemetry::Registry;
use portcullis_wasm::{EndOfStream, Engine, Instance, Plugin, WorkerInstances};

/// A plugin, and a worker that runs it.
struct Bench {
    engine: Arc<Engine>,
    plugin: Arc<Plugin>,
    worker: WorkerInstances,
}

impl Bench {
    fn of(functions: &str) -> Self {
        Self::with(functions, Settings::for_test("bench"))
    }

    fn with(functions: &str, settings: Settings) -> Self {
        let engine = Engine::new().expect("the engine starts");
        let module = engine.compile(&module(functions)).expect("the module compiles");
        let metrics = Registry::new().plugin_metrics("WasmPlugin/default/bench");
        let settings = Arc::new(settings);
        let plugin =
            Plugin::start(&engine, &module, &settings, 1, metrics).expect("the plugin starts");
        Bench { engine, plugin, worker: WorkerInstances::new(0) }
    }

    fn instance(&self) -> Rc<Instance> {
        loop {
            if let Some(instance) = self.worker.instance(&self.plugin) {
                return instance;
            }
            std::thread::yield_now();
        }
    }

    /// One request's heads.
    fn request(&self, exchange: &mut Box<Exchange>) -> bool {
        let instance = self.instance();
        let stream = instance.open_stream();
        let request = instance.on_request_headers(stream, exchange, EndOfStream::Yes);
        let response = instance.on_response_headers(stream, exchange, EndOfStream::Yes);
        instance.close_stream(stream, exchange);
        request.is_ok() && response.is_ok()
    }
}

fn heads(criterion: &mut Criterion) {
    for (name, functions) in
        [("noop", noop()), ("one_header", one_header()), ("eleven_calls", eleven_calls())]
    {
        let bench = Bench::of(&functions);
        let mut exchange = Box::new(exchange());
        criterion.bench_function(&format!("plugin/{name}"), |bencher| {
            bencher.iter(|| bench.request(&mut exchange));
        });
    }
    let chain: Vec<Bench> = (0..8).map(|_| Bench::of(&one_header())).collect();
    let mut exchange = Box::new(exchange());
    criterion.bench_function("plugin/eight_chained", |bencher| {
        bencher.iter(|| chain.iter().all(|bench| bench.request(&mut exchange)));
    });
}

/// A sandbox made, used for the heads of one request, and dropped.
fn isolation(criterion: &mut Criterion) {
    for (name, functions) in [("noop", noop()), ("one_header", one_header())] {
        let settings = Settings { isolation: Isolation::Request, ..Settings::for_test("bench") };
        let bench = Bench::with(&functions, settings);
        let mut exchange = Box::new(exchange());
        criterion.bench_function(&format!("plugin/isolation_request_{name}"), |bencher| {
            bencher.iter(|| bench.request(&mut exchange));
        });
    }
}

/// A body of 64 KiB in one piece, read as a whole by the guest, and passed by.
fn body(criterion: &mut Criterion) {
    for (name, functions) in [("read", reads_body()), ("passed_by", noop_body())] {
        let bench = Bench::of(&functions);
        let (instance, mut exchange) = (bench.instance(), Box::new(exchange()));
        let stream = instance.open_stream();
        let head = instance.on_request_headers(stream, &mut exchange, EndOfStream::No);
        head.expect("the head passes");
        let body = Bytes::from(vec![b'x'; 64 << 10]);
        criterion.bench_function(&format!("plugin/body_64_kib_{name}"), |bencher| {
            bencher.iter(|| {
                instance.on_request_body(stream, &mut exchange, body.clone(), EndOfStream::No)
            });
        });
    }
}

/// What the worker pays for a trap: the fault, its log line, and the next instance, which waits ready.
fn trap(criterion: &mut Criterion) {
    let limits = PluginLimits {
        breaker: BreakerLimits { failures: 0, window: std::time::Duration::ZERO },
        ..PluginLimits::default()
    };
    let settings = Settings { limits, ..Settings::for_test("bench") };
    let bench = Bench::with(&traps(), settings);
    let mut exchange = Box::new(exchange());
    criterion.bench_function("plugin/trap_recovery", |bencher| {
        bencher.iter_batched(
            || bench.instance(),
            |instance| {
                let stream = instance.open_stream();
                let failed = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes);
                (failed.is_err(), bench.worker.instance(&bench.plugin).is_some())
            },
            BatchSize::PerIteration,
        );
    });
}

/// Compiling a small module, and starting a plugin of one that is compiled.
fn load(criterion: &mut Criterion) {
    let bench = Bench::of(&eleven_calls());
    let bytes = module(&eleven_calls());
    criterion.bench_function("plugin/compile", |bencher| {
        bencher.iter(|| bench.engine.compile(&bytes).is_ok());
    });
    load_kept(criterion);
    let settings = Arc::new(Settings::for_test("bench"));
    let registry = Registry::new();
    criterion.bench_function("plugin/start", |bencher| {
        bencher.iter(|| {
            let metrics = registry.plugin_metrics("WasmPlugin/default/bench");
            Plugin::start(&bench.engine, bench.plugin.module(), &settings, 1, metrics).is_ok()
        });
    });
}

/// A load whose machine code was kept by an earlier process: of a small module, and of the one shipped for tokens.
fn load_kept(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let shipped = "target/plugins/jwt-auth.wasm";
    let shipped =
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(shipped));
    let modules = [("small", Some(module(&eleven_calls()))), ("jwt_auth", shipped.ok())];
    for (name, bytes) in modules.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))) {
        let keeping = || {
            let store = Store::open(&directory.path().join("code"), 1 << 30).expect("a store");
            let engine = Engine::new().expect("the engine starts");
            engine.keep_machine_code(store);
            engine
        };
        keeping().compile(&bytes).expect("the module compiles");
        let engine = keeping();
        criterion.bench_function(&format!("plugin/load_kept_{name}"), |bencher| {
            bencher.iter(|| engine.compile(&bytes).is_ok());
        });
    }
}

/// The callbacks of heads, with what they do; and those that each filter has.
fn filter(request: &str, response: &str) -> String {
    format!(
        r#"(func (export "proxy_on_context_create") (param i32 i32))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {request} i32.const 0)
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {response} i32.const 0)
           (func (export "proxy_on_log") (param i32))"#
    )
}

fn noop() -> String {
    filter("", "")
}

const REPLACE: &str = "(drop (call $replace (i32.const 0) (i32.const 64) (i32.const 6) (i32.const 80) (i32.const 4)))";
const GET: &str =
    "(drop (call $get (i32.const 0) (i32.const 96) (i32.const 5) (i32.const 512) (i32.const 516)))";

fn one_header() -> String {
    filter(REPLACE, "")
}

/// Six to read, five to write.
fn eleven_calls() -> String {
    filter(&format!("{}{}", GET.repeat(6), REPLACE.repeat(5)), "")
}

fn traps() -> String {
    filter("unreachable", "")
}

fn noop_body() -> String {
    with_body("")
}

fn reads_body() -> String {
    with_body(
        "(drop (call $body (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 512) (i32.const 516)))",
    )
}

fn with_body(body: &str) -> String {
    noop()
        + &format!(
            r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) {body} i32.const 0)"#
        )
}

fn module(functions: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
        (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_bytes" (func $body (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 3)
        (data (i32.const 64) "x-mark") (data (i32.const 80) "blue") (data (i32.const 96) ":path")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 65536)
        {functions})"#
    );
    wat::parse_str(text).expect("the module is right")
}

fn exchange() -> Exchange {
    let head = RequestHead {
        method: http::Method::GET,
        scheme: "http",
        authority: http::HeaderValue::from_static("example.com"),
        path: http::uri::PathAndQuery::from_static("/item"),
        protocol: Protocol::Http11,
        headers: HeaderMap::new(),
    };
    let mut exchange = Exchange::new(Arc::new(Connection::nowhere()), head);
    exchange.response = Some(ResponseHead::new(StatusCode::OK, HeaderMap::new()));
    exchange
}

criterion_group!(benches, heads, isolation, body, trap, load);
criterion_main!(benches);
