//! The callbacks of a connection whose bytes are passed on.

use bytes::Bytes;
use portcullis_exchange::Exchange;
use wasmtime::Store;

use crate::abi::{BodyCallback, Callbacks, CloseCallback};
use crate::asked::Seen;
use crate::effects::{Action, Effects, EndOfStream, PluginFault, StreamId};
use crate::instance::Instance;
use crate::state::{GuestState, Phase};

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// We did.
    Us = 1,
    /// Whoever is at its other end.
    Peer = 2,
}

impl Instance {
    /// A connection has come in. Nothing is read of it, and nobody connected to, while it is held.
    pub fn on_new_connection(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
    ) -> Result<Effects, PluginFault> {
        let seen = Seen { phase: Phase::NewConnection, stream, end: EndOfStream::No };
        self.callback(seen, exchange, None, |store, callbacks| {
            store.data_mut().connections.insert(stream.0);
            let Some(call) = &callbacks.network.new_connection else {
                return Ok(Action::Continue);
            };
            let raw = call.call(&mut *store, stream.0)?;
            Ok(action(raw))
        })
    }

    /// The client has sent some bytes; those that were held before come first. They are in the effects where the
    /// guest changed them. `end`: it sends no more.
    pub fn on_downstream_data(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        data: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let (seen, size) = (Seen { phase: Phase::DownstreamData, stream, end }, data.len());
        self.callback(seen, exchange, Some(data), |store, callbacks| {
            call_data(&callbacks.network.downstream_data, store, stream, (size, end))
        })
    }

    /// As [`on_downstream_data`](Self::on_downstream_data), of what the upstream has sent.
    pub fn on_upstream_data(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        data: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let (seen, size) = (Seen { phase: Phase::UpstreamData, stream, end }, data.len());
        self.callback(seen, exchange, Some(data), |store, callbacks| {
            call_data(&callbacks.network.upstream_data, store, stream, (size, end))
        })
    }

    /// The client's side of the connection is over. A fault is logged and counted, it concerns no one any more.
    pub fn on_downstream_connection_close(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        by: ClosedBy,
    ) {
        self.on_close(stream, exchange, by, |callbacks| &callbacks.network.downstream_close);
    }

    /// The upstream's side of it is over.
    pub fn on_upstream_connection_close(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        by: ClosedBy,
    ) {
        self.on_close(stream, exchange, by, |callbacks| &callbacks.network.upstream_close);
    }

    fn on_close(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        by: ClosedBy,
        callback: impl FnOnce(&Callbacks) -> &Option<CloseCallback>,
    ) {
        let seen = Seen { phase: Phase::ConnectionClose, stream, end: EndOfStream::Yes };
        // What it asks for now comes too late.
        let _ = self.callback(seen, exchange, None, |store, callbacks| match callback(callbacks) {
            Some(call) => call.call(store, (stream.0, by as u32)).map(|()| Action::Continue),
            None => Ok(Action::Continue),
        });
    }
}

fn call_data(
    callback: &Option<BodyCallback>,
    store: &mut Store<GuestState>,
    stream: StreamId,
    (size, end): (usize, EndOfStream),
) -> wasmtime::Result<Action> {
    let Some(call) = callback else { return Ok(Action::Continue) };
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let raw = call.call(store, (stream.0, size, u32::from(end == EndOfStream::Yes)))?;
    Ok(action(raw))
}

fn action(raw: u32) -> Action {
    if raw == 0 { Action::Continue } else { Action::Pause }
}
