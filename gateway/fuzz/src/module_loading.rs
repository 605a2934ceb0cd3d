//! Modules as somebody sends them: compiled, linked, started and asked once, or refused.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use portcullis_exchange::Exchange;
use portcullis_model as model;
use portcullis_telemetry::Registry;
use portcullis_wasm::{EndOfStream, Engine, NodeMetadata, Plugin, WorkerInstances};

/// A module serves, fails or is refused with a reason; nothing else comes of it.
pub(crate) fn run(input: &[u8]) {
    let engine = engine();
    let module = match engine.compile(input) {
        Ok(module) => module,
        Err(error) => return assert!(!error.to_string().is_empty(), "refused without a reason"),
    };
    let mut settings = model::Plugin::for_test("module");
    settings.limits.callback = Duration::from_millis(5);
    settings.limits.start = Duration::from_millis(20);
    settings.limits.memory = 1 << 20;
    let metrics = Registry::new().plugin_metrics("WasmPlugin/default/module");
    let Ok(plugin) = Plugin::start(engine, &module, &Arc::new(settings), 1, metrics) else {
        return;
    };
    let worker = WorkerInstances::new(0);
    let Some(instance) = worker.instance(&plugin) else { return };
    let (stream, mut exchange) = (instance.open_stream(), Box::new(Exchange::for_test()));
    let _whatever = instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes);
    instance.close_stream(stream, &mut exchange);
}

fn engine() -> &'static Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| match Engine::for_node(NodeMetadata::default()) {
        Ok(engine) => engine,
        Err(error) => panic!("there is no engine: {error}"),
    })
}
