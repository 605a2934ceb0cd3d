//! The plugin streams of one request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portcullis_exchange::Exchange;
use portcullis_snapshot::ChainStep;
use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{Closed, Instance, StreamId};
use smallvec::SmallVec;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::Worker;
use crate::laps::Laps;

/// A guest that says that it is not done has so long to be.
const LONGEST_LINGER: Duration = Duration::from_secs(1);

/// The plugins and native filters of a listener, in the order of requests.
pub(crate) type Chain = Arc<[ChainStep]>;

/// The plugins that have seen a request, in the order in which they saw it.
#[derive(Default)]
pub(crate) struct RunningSteps(pub(crate) SmallVec<[RunningStep; 2]>);

/// One plugin's stream.
pub(crate) struct RunningStep {
    pub(crate) instance: Rc<Instance>,
    pub(crate) stream: StreamId,
    /// Its place in the listener's chain.
    pub(crate) index: usize,
}

impl RunningSteps {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the streams: `on_done`, `on_log`, `on_delete`.
    pub(crate) fn close(
        &mut self,
        worker: &Worker,
        chain: &[ChainStep],
        exchange: &mut Box<Exchange>,
    ) {
        let mut laps = Laps::default();
        for running in std::mem::take(&mut self.0) {
            let plugin = chain.get(running.index).and_then(|step| step.plugin()?.plugin.as_ref());
            let plugin = plugin.filter(|plugin| plugin.module().hooks().end);
            let Some(plugin) = plugin else {
                // Of a plugin that sees no end no time is taken.
                end_stream(running.instance, running.stream, exchange);
                continue;
            };
            let (instance, stream) = (running.instance, running.stream);
            let lap = laps.begin(&instance);
            end_stream(instance.clone(), stream, exchange);
            if let Some(timed) = laps.end(&lap, &instance, PluginPhase::Log) {
                worker.count_timed(plugin.metrics(), PluginPhase::Log, timed);
            }
        }
    }
}

/// Ends one stream.
pub(crate) fn end_stream(instance: Rc<Instance>, stream: StreamId, exchange: &mut Box<Exchange>) {
    if instance.close_stream(stream, exchange) == Closed::Lingers {
        spawn_local(async move {
            sleep(LONGEST_LINGER).await;
            instance.drop_context(stream);
        });
    }
}
