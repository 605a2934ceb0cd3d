//! What a worker does for its plugins outside of requests: their ticks, their queues, the calls that they make.

use std::rc::Rc;
use std::time::Instant;

use portcullis_snapshot::PluginState;
use portcullis_wasm::{Begun, CallKind};
use tokio::task::spawn_local;
use tokio::time::timeout_at;

use crate::Worker;
use crate::grpc_call::{stream, unary};
use crate::http_call::http_call;

/// Works for the worker's plugins for as long as it is polled, once for each worker.
pub async fn work_for_plugins(worker: Rc<Worker>) {
    worker.wake_plugins();
    loop {
        let call = match worker.instances.next_tick() {
            None => worker.instances.next_call().await,
            Some(tick) => {
                let call = timeout_at(tick.into(), worker.instances.next_call()).await;
                call.unwrap_or(None)
            }
        };
        match call {
            // In a task of its own, so that none waits for another.
            Some(call) => drop(spawn_local(carry_out(worker.clone(), call))),
            None => {
                worker.instances.run_due(Instant::now(), |plugin, phase, took| {
                    worker.count_callback(plugin, phase, took);
                });
                // Requests have their turn between two rounds.
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Worker {
    /// Takes an instance of every plugin: some tick, call or listen to queues without a request. To be called for each
    /// new generation, and now and then for those that failed.
    pub(crate) fn wake_plugins(&self) {
        let snapshot = self.pin();
        for plugin in snapshot.plugins.values().filter_map(PluginState::running) {
            self.instances.wake(plugin);
        }
    }
}

async fn carry_out(worker: Rc<Worker>, begun: Begun) {
    match begun.call.kind {
        CallKind::Http => http_call(&worker, begun).await,
        CallKind::GrpcUnary => unary(&worker, begun).await,
        CallKind::GrpcStream => stream(&worker, begun).await,
    }
}
