//! A filter in this process: started as for a worker, and sent one exchange after the other.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_exchange::{Connection, Exchange, RequestHead};
use portcullis_model as model;
use portcullis_telemetry::Registry;
use portcullis_wasm::{CallTarget, CallTargets, Engine, Instance, Module, Plugin, WorkerInstances};
use serde_json::Value;

use crate::author_error::AuthorError;
use crate::sample::Sample;
use crate::tried_manifests::NAMESPACE;

/// How often a replacement is awaited.
const PATIENCE: usize = 1000;

/// A started filter, and the worker that it runs on.
#[derive(Debug)]
pub(crate) struct InProcess {
    /// The filter.
    pub plugin: Arc<Plugin>,
    /// Its worker.
    pub worker: WorkerInstances,
}

impl InProcess {
    /// Starts it for a sample, under the budgets that a plugin has where nothing is said.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        module: &Arc<Module>,
        name: &str,
        sample: &Sample,
    ) -> Result<Self, AuthorError> {
        engine.set_call_targets(targets(sample));
        let settings = settings(name, sample.configuration.as_ref());
        let metrics = Registry::new().plugin_metrics(&settings.id.to_string());
        let plugin = Plugin::start(engine, module, &Arc::new(settings), 1, metrics)
            .map_err(|error| AuthorError::Failure(format!("the filter does not start: {error}")))?;
        Ok(InProcess { plugin, worker: WorkerInstances::new(0) })
    }

    /// The instance that takes the next exchange. Instances are replaced now and then, as in a gateway.
    ///
    /// # Errors
    /// It has failed and does not start again.
    pub(crate) fn instance(&self) -> Result<Rc<Instance>, AuthorError> {
        for _ in 0..PATIENCE {
            if let Some(instance) = self.worker.instance(&self.plugin) {
                return Ok(instance);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        Err(AuthorError::Failure("the filter failed too often".to_owned()))
    }
}

/// An exchange that nothing has happened in.
pub(crate) fn exchange(head: RequestHead) -> Box<Exchange> {
    Box::new(Exchange::new(Arc::new(Connection::nowhere()), head))
}

fn settings(name: &str, configuration: Option<&Value>) -> model::Plugin {
    let configuration = match configuration {
        None => Bytes::from_static(b"{}"),
        Some(Value::String(text)) => Bytes::from(text.clone()),
        Some(fields) => Bytes::from(fields.to_string()),
    };
    model::Plugin {
        id: model::ObjectId::new("WasmPlugin", NAMESPACE, name),
        origin: model::Origin { file: "plugin.yaml".into(), line: 1, column: 1 },
        module: model::PluginModule::Builtin(name.to_owned()),
        sha256: None,
        root_id: String::new(),
        configuration,
        environment: Vec::new(),
        vm_id: String::new(),
        protocol: model::PluginProtocol::Http,
        ports: Vec::new(),
        phase: model::Phase::Unspecified,
        priority: 0,
        fail_strategy: model::FailStrategy::Close,
        limits: model::PluginLimits {
            // A bench does nothing else.
            share: 100,
            ..model::PluginLimits::default()
        },
        isolation: model::Isolation::Worker,
        compatibility: model::PluginCompatibility::default(),
        supply: model::PluginSupply::default(),
        capabilities: None,
        manifest_demand: model::ManifestDemand::None,
    }
}

/// Every cluster that the sample scripts, under the name that it has there.
fn targets(sample: &Sample) -> Arc<CallTargets> {
    let named: Vec<_> =
        sample.calls.iter().map(|call| (&*call.cluster, cluster(&call.cluster))).collect();
    CallTargets::new(named.iter().map(|(service, name)| CallTarget {
        name,
        service,
        namespace: NAMESPACE,
    }))
}

/// `outbound|PORT||HOST`, `HOST:PORT`, or a service's own name.
pub(crate) fn cluster(written: &str) -> model::ClusterName {
    let name =
        |host: &str, port: u16| model::ClusterName { host: host.into(), port, subset: "".into() };
    if let ["outbound", port, "", host] = *written.split('|').collect::<Vec<_>>() {
        return name(host, port.parse().unwrap_or(80));
    }
    match written.rsplit_once(':') {
        Some((host, port)) => name(host, port.parse().unwrap_or(80)),
        None => name(written, 80),
    }
}
