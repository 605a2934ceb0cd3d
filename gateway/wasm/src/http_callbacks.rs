//! The callbacks of a request's life.

use bytes::Bytes;
use portcullis_exchange::Exchange;
use wasmtime::Store;

use crate::abi::Callbacks;
use crate::asked::{Asked, Seen, action_of, effects};
use crate::calls::{request_field_count, response_field_count};
use crate::effects::{Action, Direction, Effects, EndOfStream, PluginFault, StreamId};
use crate::instance::Instance;
use crate::state::{GuestState, Phase, ROOT_CONTEXT};
use crate::vm::{arm, delete_context};

/// What has become of a context whose stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is gone.
    Gone,
    /// The guest has said that it is not done. Its context lives until it is, or until the host
    /// [drops](Instance::drop_context) it.
    Lingers,
}

impl Instance {
    /// The request's head has come. The guest may change it, answer, or hold it. The exchange is the guest's
    /// to see during the callback, and is back afterwards whatever happened.
    pub fn on_request_headers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let fields = request_field_count(exchange);
        let seen = Seen { phase: Phase::RequestHeaders, stream, end };
        self.pass(seen, exchange, None, Asked::Head(fields))
    }

    /// A piece of the request's body has come, or, where earlier ones were held, all of them. The guest's body
    /// is in the effects where it changed it.
    pub fn on_request_body(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        body: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let seen = Seen { phase: Phase::RequestBody, stream, end };
        let size = body.len();
        self.pass(seen, exchange, Some(body), Asked::Body(size))
    }

    /// The request's trailers have come, which are in the exchange. `body` is what is held of the body.
    pub fn on_request_trailers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        body: Bytes,
    ) -> Result<Effects, PluginFault> {
        let fields = exchange.request_trailers.as_ref().map_or(0, http::HeaderMap::len);
        let seen = Seen { phase: Phase::RequestTrailers, stream, end: EndOfStream::Yes };
        self.pass(seen, exchange, Some(body), Asked::Trailers(fields))
    }

    /// The reply's head is known.
    pub fn on_response_headers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let fields = response_field_count(exchange);
        let seen = Seen { phase: Phase::ResponseHeaders, stream, end };
        self.pass(seen, exchange, None, Asked::Head(fields))
    }

    /// As [`on_request_body`](Self::on_request_body), of the reply.
    pub fn on_response_body(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        body: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let seen = Seen { phase: Phase::ResponseBody, stream, end };
        let size = body.len();
        self.pass(seen, exchange, Some(body), Asked::Body(size))
    }

    /// As [`on_request_trailers`](Self::on_request_trailers), of the reply.
    pub fn on_response_trailers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        body: Bytes,
    ) -> Result<Effects, PluginFault> {
        let trailers = exchange.response.as_ref().and_then(|head| head.trailers.as_ref());
        let fields = trailers.map_or(0, http::HeaderMap::len);
        let seen = Seen { phase: Phase::ResponseTrailers, stream, end: EndOfStream::Yes };
        self.pass(seen, exchange, Some(body), Asked::Trailers(fields))
    }

    /// The exchange is over: `on_done`, `on_log` and `on_delete`. A guest that never saw the stream sees
    /// nothing of its end. A fault here is logged and counted, it concerns no one any more.
    pub fn close_stream(&self, stream: StreamId, exchange: &mut Box<Exchange>) -> Closed {
        self.break_off(Direction::Request, exchange);
        self.break_off(Direction::Response, exchange);
        let closed = self.with_guest(exchange, |vm| {
            if !vm.store.data().streams.contains(&stream.0) {
                return Ok(Closed::Gone);
            }
            vm.run(|store, callbacks| end_stream(store, callbacks, stream))
        });
        self.forget_held(stream);
        self.end_request(stream);
        closed.unwrap_or(Closed::Gone)
    }

    /// Ends a context that [lingers](Closed::Lingers), whether it is done or not.
    pub fn drop_context(&self, stream: StreamId) {
        let _ = self.with_vm(|vm| {
            vm.store.data_mut().drop_lingering(stream.0);
            Ok(())
        });
    }

    /// At once, or, where the plugin gives way, as far as its first slice comes.
    fn pass(
        &self,
        seen: Seen,
        exchange: &mut Box<Exchange>,
        body: Option<Bytes>,
        asked: Asked,
    ) -> Result<Effects, PluginFault> {
        if let Some(slice) = self.slice_for_next() {
            return self.pass_slowly(seen, exchange, (body.unwrap_or_default(), asked), slice);
        }
        self.callback(seen, exchange, body, |store, callbacks| {
            let raw = asked.call(callbacks, &seen, store)?;
            Ok(action_of(raw, &asked, store.data()))
        })
    }

    pub(crate) fn callback(
        &self,
        seen: Seen,
        exchange: &mut Box<Exchange>,
        body: Option<Bytes>,
        call: impl FnOnce(&mut Store<GuestState>, &Callbacks) -> wasmtime::Result<Action>,
    ) -> Result<Effects, PluginFault> {
        if self.usage.is_over_budget(seen.stream.0) {
            return Err(PluginFault::request_budget());
        }
        let given = body.is_some();
        self.with_guest(exchange, |vm| {
            let action = vm.run(|store, callbacks| {
                create_stream(store, callbacks, seen.stream)?;
                let state = store.data_mut();
                state.enter(seen.phase, seen.stream.0);
                state.end = seen.end;
                if let Some(body) = body {
                    state.body = body;
                }
                call(store, callbacks)
            });
            let state = vm.store.data_mut();
            let has_body = given || state.wishes.body_changed;
            // Its bytes are the caller's again, to be changed in place.
            let body = has_body.then(|| std::mem::take(&mut state.body));
            Ok(effects(vm, seen.stream, action?, body))
        })
    }
}

/// Makes the stream's context when the guest meets it first.
fn create_stream(
    store: &mut Store<GuestState>,
    callbacks: &Callbacks,
    stream: StreamId,
) -> wasmtime::Result<()> {
    if !store.data_mut().streams.insert(stream.0) {
        return Ok(());
    }
    let Some(create) = &callbacks.context_create else { return Ok(()) };
    store.data_mut().enter(Phase::ContextCreate, stream.0);
    create.call(&mut *store, (stream.0, ROOT_CONTEXT))?;
    arm(store);
    Ok(())
}

/// Where the guest says that it is not done, its context stays; `on_log` comes at once all the same, while the
/// exchange is there to be read.
fn end_stream(
    store: &mut Store<GuestState>,
    callbacks: &Callbacks,
    stream: StreamId,
) -> wasmtime::Result<Closed> {
    store.data_mut().enter(Phase::Log, stream.0);
    store.data_mut().ending = Some(stream.0);
    let mut done = true;
    if let Some(callback) = &callbacks.done {
        done = callback.call(&mut *store, stream.0)? != 0;
        arm(store);
    }
    if let Some(log) = &callbacks.log {
        store.data_mut().enter(Phase::Log, stream.0);
        log.call(&mut *store, stream.0)?;
        arm(store);
    }
    let state = store.data_mut();
    match state.ending.take() {
        Some(_) if done => delete_context(store, callbacks, stream.0)?,
        Some(_) => {
            state.lingering.insert(stream.0);
            return Ok(Closed::Lingers);
        }
        // `proxy_done` was called meanwhile: it is deleted with the others that are done.
        None => {}
    }
    Ok(Closed::Gone)
}
