//! Tests of the whole room with small guests in WebAssembly text.

mod body_calls;
mod budgets;
mod call_quotas;
mod conformance;
mod containment;
mod foreign_functions;
mod generated;
pub(crate) mod guest;
mod header_calls;
mod http_calls;
mod isolation;
mod loading;
mod network_calls;
mod other_calls;
mod replacement;
mod shared_calls;
mod slices;
mod strictness;
mod wasi_calls;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use portcullis_exchange::{Exchange, ResponseHead};
use portcullis_model as model;
use portcullis_telemetry::{PluginMetrics, Registry};

use crate::{
    CallTarget, CallTargets, Effects, EndOfStream, Engine, Instance, LoadError, NodeMetadata,
    Plugin, PluginFault, StreamId, WorkerInstances,
};

/// One plugin in an engine of its own, and one worker's instances.
pub(crate) struct Bench {
    engine: Arc<Engine>,
    metrics: Arc<PluginMetrics>,
    plugin: Arc<Plugin>,
    worker: WorkerInstances,
}

impl Bench {
    pub(crate) fn start(body: &str) -> Self {
        Self::try_start(&guest::module(body), settings()).unwrap()
    }

    fn try_start(text: &str, settings: model::Plugin) -> Result<Self, LoadError> {
        let engine = engine();
        let metrics = Registry::new().plugin_metrics(&settings.id.to_string());
        let module = engine.compile(&wat::parse_str(text).unwrap())?;
        let plugin = Plugin::start(&engine, &module, &Arc::new(settings), 1, metrics.clone())?;
        Ok(Bench { engine, metrics, plugin, worker: WorkerInstances::new(0) })
    }

    pub(crate) fn instance(&self) -> Rc<Instance> {
        self.worker.instance(&self.plugin).unwrap()
    }

    /// Runs a request's head through the guest.
    fn request(&self, exchange: &mut Box<Exchange>) -> Result<Effects, PluginFault> {
        let instance = self.instance();
        instance.on_request_headers(instance.open_stream(), exchange, EndOfStream::Yes)
    }
}

/// An engine with one cluster to call.
fn engine() -> Arc<Engine> {
    let engine = Engine::for_node(NodeMetadata::default()).unwrap();
    engine.set_call_targets(call_targets());
    engine
}

/// Runs a request's head through a guest whose `proxy_on_request_headers` is this; the guest traps where it
/// does not find what it expects.
fn on_request(body: &str) -> (Box<Exchange>, Effects) {
    let bench = Bench::start(&guest::on_request(body));
    let mut exchange = exchange();
    let effects = bench.request(&mut exchange).unwrap_or_else(|fault| {
        panic!("{fault}\n{}", fault.backtrace);
    });
    (exchange, effects)
}

/// A configuration with one cluster, `outbound|80||auth.shop.svc`.
fn call_targets() -> Arc<CallTargets> {
    let name = model::ClusterName { host: "auth.shop.svc".into(), port: 80, subset: "".into() };
    let target = CallTarget { name: &name, service: "auth", namespace: "shop" };
    CallTargets::new([target].into_iter())
}

pub(crate) fn settings() -> model::Plugin {
    model::Plugin {
        id: model::ObjectId::new("WasmPlugin", "shop", "guest"),
        origin: model::Origin::for_test(),
        module: model::PluginModule::Builtin("guest".to_owned()),
        sha256: None,
        root_id: "root".to_owned(),
        configuration: Bytes::from_static(b"{\"a\":1}"),
        environment: vec![("MODE".to_owned(), "test".to_owned())],
        vm_id: String::new(),
        protocol: model::PluginProtocol::Http,
        ports: Vec::new(),
        phase: model::Phase::Unspecified,
        priority: 0,
        fail_strategy: model::FailStrategy::Close,
        compatibility: model::PluginCompatibility::default(),
        isolation: model::Isolation::default(),
        supply: model::PluginSupply::default(),
        capabilities: None,
        manifest_demand: model::ManifestDemand::None,
        limits: model::PluginLimits {
            // Generous: the machine that runs the tests may be slow. Loops run to this end.
            callback: Duration::from_millis(100),
            ..model::PluginLimits::default()
        },
    }
}

/// `GET /shop?q=1` to `shop.example.com`, with `x-a: one`, `x-a: two`.
pub(crate) fn exchange() -> Box<Exchange> {
    let mut exchange = Box::new(Exchange::for_test());
    exchange.request.authority = "shop.example.com".parse().unwrap();
    exchange.request.path = "/shop?q=1".parse().unwrap();
    exchange.request.headers.append("x-a", "one".parse().unwrap());
    exchange.request.headers.append("x-a", "two".parse().unwrap());
    exchange
}

/// The same with a reply: 200 with `server: upstream`.
fn answered() -> Box<Exchange> {
    let mut exchange = exchange();
    let mut headers = HeaderMap::new();
    headers.insert("server", "upstream".parse().unwrap());
    exchange.response = Some(ResponseHead::new(http::StatusCode::OK, headers));
    exchange
}

/// A stream in which the guest has seen the request's head.
fn begin(instance: &Instance, exchange: &mut Box<Exchange>) -> StreamId {
    let stream = instance.open_stream();
    instance.on_request_headers(stream, exchange, EndOfStream::Yes).unwrap();
    stream
}
