//! Modules that `wasm-smith` makes from fixed seeds, each with every callback and many host calls: none of them
//! does more than fail.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module as Generated};

use super::*;
use crate::Engine;

const SEEDS: u64 = 300;

#[test]
fn generated_modules_serve_or_fail_and_nothing_else() {
    let engine = engine();
    let (mut started, mut reasons) = (0, Vec::new());
    for seed in 1..=SEEDS {
        match start(&engine, &generate(seed), seed) {
            Ok(bench) => {
                started += 1;
                live(&bench);
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    assert!(!reasons.iter().any(String::is_empty), "each refusal has a reason");
    assert!(started > 20 && reasons.len() > 20, "{started} started, others not: {reasons:#?}");
}

/// Small budgets: many of them loop.
fn start(engine: &Arc<Engine>, module: &[u8], seed: u64) -> Result<Bench, LoadError> {
    let mut settings = settings();
    settings.id.name = format!("generated-{seed}").into();
    settings.limits.callback = Duration::from_millis(4);
    settings.limits.start = Duration::from_millis(20);
    settings.limits.memory = 4 << 20;
    let metrics = Registry::new().plugin_metrics(&settings.id.to_string());
    let module = engine.compile(module)?;
    let plugin = Plugin::start(engine, &module, &Arc::new(settings), 1, metrics.clone())?;
    Ok(Bench { engine: engine.clone(), metrics, plugin, worker: WorkerInstances::new(0) })
}

/// All callbacks of a request, each on the instance that is alive then.
fn live(bench: &Bench) {
    for turn in 0..8 {
        let Some(instance) = bench.worker.instance(&bench.plugin) else { return };
        let (stream, mut exchange) = (instance.open_stream(), answered());
        let (body, more) = (Bytes::from_static(b"hello"), EndOfStream::No);
        let _whatever = match turn {
            0 => instance.on_request_body(stream, &mut exchange, body, more).map(drop),
            1 => instance.on_request_trailers(stream, &mut exchange, body).map(drop),
            2 => instance.on_response_headers(stream, &mut exchange, more).map(drop),
            3 => instance.on_response_body(stream, &mut exchange, body, more).map(drop),
            4 => instance.on_response_trailers(stream, &mut exchange, body).map(drop),
            5 => {
                instance.on_tick();
                Ok(())
            }
            6 => {
                instance.on_queue_ready(1);
                Ok(())
            }
            _ => instance.on_request_headers(stream, &mut exchange, more).map(drop),
        };
        instance.close_stream(stream, &mut exchange);
        assert_eq!(exchange.request.authority, "shop.example.com", "the exchange is back");
    }
}

fn generate(seed: u64) -> Vec<u8> {
    let bytes = noise(seed);
    let config = Config {
        module_shape: Some(wat::parse_str(SHAPE).unwrap()),
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        reference_types_enabled: false,
        compact_imports_enabled: false,
        wide_arithmetic_enabled: false,
        max_memory32_bytes: 64 << 20,
        max_memories: 1,
        ..Config::default()
    };
    Generated::new(config, &mut Unstructured::new(&bytes)).unwrap().to_bytes()
}

/// The same for the same seed: xorshift.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..1024).flat_map(|_| next()).collect()
}

/// What each imports and exports.
const SHAPE: &str = r#"(module
  (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func (param i32) (result i32)))
  (import "env" "proxy_send_local_response" (func (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_register_shared_queue" (func (param i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_record_metric" (func (param i32 i64) (result i32)))
  (import "env" "proxy_get_property" (func (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) unreachable)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_request_trailers") (param i32 i32) (result i32) unreachable)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_response_trailers") (param i32 i32) (result i32) unreachable)
  (func (export "proxy_on_tick") (param i32))
  (func (export "proxy_on_queue_ready") (param i32 i32))
  (func (export "proxy_on_done") (param i32) (result i32) unreachable)
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32)))"#;
