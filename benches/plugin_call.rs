//! What a plugin that does nothing costs a request: two callbacks and the end of the stream.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has to say so")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, StatusCode};
use portcullis_exchange::{Connection, Exchange, Protocol, RequestHead, ResponseHead};
use portcullis_model::{
    FailStrategy, ObjectId, Origin, Phase, Plugin as Settings, PluginCompatibility, PluginLimits,
    PluginModule,
};
use portcullis_telemetry::Registry;
use portcullis_wasm::{EndOfStream, Engine, Plugin, WorkerInstances};

/// The smallest filter: every callback returns "continue".
const NOOP: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_log") (param i32)))"#;

fn plugin_call(criterion: &mut Criterion) {
    let engine = Engine::new().expect("the engine starts");
    let bytes = wat::parse_str(NOOP).expect("the module is right");
    let module = engine.compile(&bytes).expect("the module compiles");
    let metrics = Registry::new().plugin_metrics("WasmPlugin/default/noop");
    let plugin = Plugin::start(&engine, &module, &Arc::new(settings()), 1, metrics)
        .expect("the plugin starts");
    let instances = WorkerInstances::new(0);
    let mut exchange = Box::new(exchange());
    criterion.bench_function("noop_plugin", |bencher| {
        bencher.iter(|| {
            let instance = instances.instance(&plugin).expect("it never fails");
            let stream = instance.open_stream();
            let request = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes);
            let response = instance.on_response_headers(stream, &mut exchange, EndOfStream::Yes);
            instance.close_stream(stream, &mut exchange);
            (request.is_ok(), response.is_ok())
        });
    });
}

fn settings() -> Settings {
    Settings {
        id: ObjectId::new("WasmPlugin", "default", "noop"),
        origin: Origin { file: "bench.yaml".into(), line: 1, column: 1 },
        module: PluginModule::Builtin("noop".to_owned()),
        sha256: None,
        root_id: String::new(),
        configuration: Bytes::new(),
        environment: Vec::new(),
        vm_id: String::new(),
        phase: Phase::Unspecified,
        priority: 0,
        fail_strategy: FailStrategy::Close,
        limits: PluginLimits::default(),
        compatibility: PluginCompatibility::default(),
    }
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

criterion_group!(benches, plugin_call);
criterion_main!(benches);
