//! The callbacks of the root context after its start: ticks, queues, and the results of calls.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_telemetry::PluginMetrics;
use wasmtime::{Store, TypedFunc};

use crate::abi::RootCallbacks;
use crate::agenda::Caller;
use crate::errands::{CallId, CallKind, CallReply, Delivered, KnownCall};
use crate::instance::Instance;
use crate::state::{GuestState, Phase, ROOT_CONTEXT};

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
            state.enter(phase, ROOT_CONTEXT);
            vm.run(|store, callbacks| call(store, &callbacks.root))?;
            let state = vm.store.data_mut();
            state.errands.delivered = Delivered::default();
            state.enter(phase, ROOT_CONTEXT);
            Ok(())
        });
        self.end_waiting();
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
        if !self.desk.end_call(call) {
            return;
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (fields, trailers) = (count(reply.headers.len() + 1), count(reply.trailers.len()));
        let arguments = (ROOT_CONTEXT, call.0, fields, count(reply.body.len()), trailers);
        self.on_root(
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
    }

    fn on_grpc_initial_metadata(&self, call: CallId, metadata: HeaderMap) {
        if self.desk.awaited(call).is_some() {
            let number = metadata.len();
            let delivered = Delivered { grpc_initial: Some(metadata), ..Delivered::default() };
            self.on_grpc(call, delivered, number, |callbacks| &callbacks.grpc_initial_metadata);
        }
    }

    fn on_grpc_message(&self, call: CallId, message: Bytes) {
        let Some(kind) = self.desk.awaited(call) else { return };
        if kind == CallKind::GrpcUnary {
            self.desk.end_call(call);
        }
        let number = message.len();
        let delivered = Delivered { grpc_message: Some(message), ..Delivered::default() };
        self.on_grpc(call, delivered, number, |callbacks| &callbacks.grpc_message);
    }

    fn on_grpc_trailing_metadata(&self, call: CallId, metadata: HeaderMap) {
        if self.desk.awaited(call).is_some() {
            let number = metadata.len();
            let delivered = Delivered { grpc_trailing: Some(metadata), ..Delivered::default() };
            self.on_grpc(call, delivered, number, |callbacks| &callbacks.grpc_trailing_metadata);
        }
    }

    fn on_grpc_close(&self, call: CallId, status: u32, message: Bytes) {
        if !self.desk.end_call(call) {
            return;
        }
        self.on_root(
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
    }

    fn metrics(&self) -> &PluginMetrics {
        &self.facts().metrics
    }
}
