//! The callbacks of the root context after its start: ticks, queues, and the results of calls.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use portcullis_telemetry::PluginMetrics;
use wasmtime::{Store, TypedFunc};

use crate::abi::RootCallbacks;
use crate::agenda::Caller;
use crate::errands::{Brought, CallId, CallKind, CallReply, Delivered, KnownCall};
use crate::instance::Instance;
use crate::state::{GuestState, Phase, ROOT_CONTEXT};

/// What a call costs the worker beside its callback, about. A plugin that answers each result by the next call pays for
/// it out of its share.
const CALL_COST: Duration = Duration::from_micros(50);

impl Instance {
    /// A period of its ticks has passed.
    pub fn on_tick(&self) {
        self.on_root(
            Phase::Tick,
            |_| {},
            |store, callbacks| match &callbacks.tick {
                Some(callback) => callback.call(store, ROOT_CONTEXT),
                None => Ok(()),
            },
        );
    }

    /// A queue that it registered has got an element.
    pub fn on_queue_ready(&self, queue: u32) {
        self.on_root(
            Phase::QueueReady,
            |_| {},
            |store, callbacks| match &callbacks.queue_ready {
                Some(callback) => callback.call(store, (ROOT_CONTEXT, queue)),
                None => Ok(()),
            },
        );
    }

    /// A fault is logged and counted, and felt by whoever has a stream in the instance.
    fn on_root(
        &self,
        phase: Phase,
        prepare: impl FnOnce(&mut GuestState),
        call: impl FnOnce(&mut Store<GuestState>, &RootCallbacks) -> wasmtime::Result<()>,
    ) {
        let _ = self.with_vm(|vm| {
            let state = vm.store.data_mut();
            prepare(state);
            state.errands.must_rest = self.usage.must_rest();
            state.enter(phase, ROOT_CONTEXT);
            vm.run(|store, callbacks| call(store, &callbacks.root))?;
            let state = vm.store.data_mut();
            state.errands.must_rest = false;
            state.errands.delivered = Delivered::default();
            state.enter(phase, ROOT_CONTEXT);
            Ok(())
        });
        self.end_waiting();
    }

    /// A callback with what came of a call. What no request brought about is charged to the plugin's share of the
    /// worker's time, together with what the call itself cost.
    fn on_result(&self, brought: Brought, cost: Duration, callback: impl FnOnce(&Self)) {
        if brought == Brought::ByRequest {
            return callback(self);
        }
        let began = Instant::now();
        callback(self);
        let took = began.elapsed();
        self.charge_unasked(began, took);
        if !cost.is_zero() {
            self.charge_cost(began + took, cost);
        }
    }

    /// Whether the guest may be told more of a call of gRPC: the plugin may have to cool down. Then the call fails.
    fn may_hear(&self, call: CallId, brought: Brought) -> bool {
        let may = brought == Brought::ByRequest || !self.usage.must_rest();
        if !may {
            self.desk.break_off(call);
        }
        may
    }

    fn on_grpc(
        &self,
        call: CallId,
        delivered: Delivered,
        number: usize,
        callback: impl FnOnce(&RootCallbacks) -> &Option<TypedFunc<(u32, u32, u32), ()>>,
    ) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.on_root(
            Phase::CallResponse,
            |state| {
                state.errands.delivered = delivered;
                // With its message a unary call is over.
                if state.errands.delivered.grpc_message.is_some()
                    && state.errands.calls.get(&call.0).is_some_and(KnownCall::is_unary)
                {
                    state.errands.calls.remove(&call.0);
                }
            },
            |store, callbacks| match callback(callbacks) {
                Some(callback) => callback.call(store, (ROOT_CONTEXT, call.0, number)),
                None => Ok(()),
            },
        );
    }
}

impl Caller for Instance {
    fn on_http_call_response(&self, call: CallId, reply: CallReply) {
        let Some(brought) = self.desk.end_call(call) else { return };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (fields, trailers) = (count(reply.headers.len() + 1), count(reply.trailers.len()));
        let arguments = (ROOT_CONTEXT, call.0, fields, count(reply.body.len()), trailers);
        self.on_result(brought, CALL_COST, |instance| {
            instance.on_root(
                Phase::CallResponse,
                |state| {
                    state.errands.calls.remove(&call.0);
                    state.errands.delivered.reply = Some(reply);
                },
                |store, callbacks| match &callbacks.http_call_response {
                    Some(callback) => callback.call(store, arguments),
                    None => Ok(()),
                },
            );
        });
    }

    fn on_grpc_initial_metadata(&self, call: CallId, metadata: HeaderMap) {
        let Some((_, brought)) = self.desk.awaited(call) else { return };
        if self.may_hear(call, brought) {
            let number = metadata.len();
            let delivered = Delivered { grpc_initial: Some(metadata), ..Delivered::default() };
            self.on_result(brought, Duration::ZERO, |instance| {
                instance
                    .on_grpc(call, delivered, number, |callbacks| &callbacks.grpc_initial_metadata);
            });
        }
    }

    fn on_grpc_message(&self, call: CallId, message: Bytes) {
        let Some((kind, brought)) = self.desk.awaited(call) else { return };
        let cost = match kind {
            CallKind::GrpcUnary => {
                self.desk.end_call(call);
                CALL_COST
            }
            _ if !self.may_hear(call, brought) => return,
            _ => Duration::ZERO,
        };
        let number = message.len();
        let delivered = Delivered { grpc_message: Some(message), ..Delivered::default() };
        self.on_result(brought, cost, |instance| {
            instance.on_grpc(call, delivered, number, |callbacks| &callbacks.grpc_message);
        });
    }

    fn on_grpc_trailing_metadata(&self, call: CallId, metadata: HeaderMap) {
        let Some((_, brought)) = self.desk.awaited(call) else { return };
        if self.may_hear(call, brought) {
            let number = metadata.len();
            let delivered = Delivered { grpc_trailing: Some(metadata), ..Delivered::default() };
            self.on_result(brought, Duration::ZERO, |instance| {
                instance.on_grpc(call, delivered, number, |callbacks| {
                    &callbacks.grpc_trailing_metadata
                });
            });
        }
    }

    fn on_grpc_close(&self, call: CallId, status: u32, message: Bytes) {
        let Some(brought) = self.desk.end_call(call) else { return };
        self.on_result(brought, CALL_COST, |instance| {
            instance.on_root(
                Phase::CallResponse,
                |state| {
                    state.errands.calls.remove(&call.0);
                    state.errands.grpc_status = (status, message);
                },
                |store, callbacks| match &callbacks.grpc_close {
                    Some(callback) => callback.call(store, (ROOT_CONTEXT, call.0, status)),
                    None => Ok(()),
                },
            );
        });
    }

    fn metrics(&self) -> &PluginMetrics {
        &self.facts().metrics
    }
}
