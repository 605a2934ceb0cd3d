//! What a guest asks for that lasts longer than the callback in which it asked: calls, ticks, queues.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, uri::PathAndQuery};
use portcullis_model::ClusterName;
use rustc_hash::FxHashMap;

use crate::call_line::Message;
use crate::call_memory::Room;
use crate::shared::Doorbell;

/// Calls that one instance may have in flight.
pub(crate) const MOST_CALLS: usize = 128;

/// The number of a call, as the guest knows it. It means nothing in another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub(crate) u32);

/// Who brought a call about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// A request or connection, which ends.
    ByRequest,
    /// The plugin itself, by what it was told on its root context, or by one call after the other: that has no end.
    ByItself,
}

/// What shall be carried out for a guest, after the callback in which it was asked for.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Begin a call.
    Begin(Box<Call>, Brought),
    /// Send a message on a stream of gRPC.
    Send(CallId, Message),
    /// There was no room for a message: the stream of gRPC fails.
    Overrun(CallId),
    /// Nothing more will be sent on it.
    EndSending(CallId),
    /// Nobody awaits the call any more.
    Cancel(CallId),
}

/// A call to a cluster that the configuration names.
#[derive(Debug)]
pub struct Call {
    /// Its number.
    pub id: CallId,
    /// Where to.
    pub cluster: ClusterName,
    /// `:method`
    pub method: Method,
    /// `:path`
    pub path: PathAndQuery,
    /// The fields, `host` among them; none that frames the message.
    pub headers: HeaderMap,
    /// The whole body; the framed message of a unary call of gRPC.
    pub body: Bytes,
    /// Sent after the body, where the protocol can.
    pub trailers: HeaderMap,
    /// How long it may take; `None` for a stream, which lasts until either side ends it.
    pub timeout: Option<Duration>,
    /// What is awaited.
    pub kind: CallKind,
    /// What of the plugin's memory for calls it takes, to be held as long as anything of it is.
    pub room: Room,
}

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// One reply of HTTP, as a whole.
    Http,
    /// One message of gRPC, and a status.
    GrpcUnary,
    /// Messages of gRPC in both directions, then a status.
    GrpcStream,
}

/// The reply to a call of HTTP, or what stands for one that failed.
#[derive(Clone, Debug)]
pub struct CallReply {
    /// `:status`
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The trailers, empty where there are none.
    pub trailers: HeaderMap,
}

/// What the guest may read of a call's result, during the callback that brings it.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) reply: Option<CallReply>,
    pub(crate) grpc_initial: Option<HeaderMap>,
    pub(crate) grpc_message: Option<Bytes>,
    pub(crate) grpc_trailing: Option<HeaderMap>,
}

/// A call that the guest knows of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownCall {
    pub(crate) kind: CallKind,
    /// The guest has said that it sends no more.
    pub(crate) sends: bool,
}

impl KnownCall {
    pub(crate) fn is_unary(&self) -> bool {
        self.kind == CallKind::GrpcUnary
    }
}

/// One guest's errands.
pub(crate) struct Errands {
    pub(crate) bell: Arc<Doorbell>,
    /// It has registered a queue.
    pub(crate) listens: bool,
    /// The period of its ticks, where it has one, as it last set it.
    pub(crate) tick: Option<Duration>,
    /// What is to be carried out, with the context that asked.
    pub(crate) outbox: Vec<(u32, Errand)>,
    /// Whether there is news in the outbox or the period was set.
    pub(crate) has_news: bool,
    pub(crate) calls: FxHashMap<u32, KnownCall>,
    /// How many calls of a stream were made because an earlier one was answered.
    pub(crate) links: FxHashMap<u32, u32>,
    /// The plugin has to cool down on this worker: it makes no calls that no request brings.
    pub(crate) must_rest: bool,
    pub(crate) delivered: Delivered,
    /// For `get_status`: how the last call of gRPC ended.
    pub(crate) grpc_status: (u32, Bytes),
    next_call: u32,
}

impl Default for Errands {
    fn default() -> Self {
        Errands {
            bell: Doorbell::new(),
            listens: false,
            tick: None,
            outbox: Vec::new(),
            has_news: false,
            calls: FxHashMap::default(),
            links: FxHashMap::default(),
            must_rest: false,
            delivered: Delivered::default(),
            grpc_status: (0, Bytes::new()),
            next_call: 1,
        }
    }
}

impl Errands {
    /// Sets the period of the ticks; `None` stops them.
    pub(crate) fn set_tick(&mut self, period: Option<Duration>) {
        self.tick = period;
        self.has_news = true;
    }

    /// A number for a call of this kind, of which there may be so many.
    pub(crate) fn open_call(&mut self, kind: CallKind) -> CallId {
        while self.calls.contains_key(&self.next_call) || self.next_call == 0 {
            self.next_call = self.next_call.wrapping_add(1);
        }
        let id = self.next_call;
        self.next_call = id.wrapping_add(1);
        self.calls.insert(id, KnownCall { kind, sends: kind == CallKind::GrpcStream });
        CallId(id)
    }

    /// Puts something into the outbox for a context.
    pub(crate) fn ask(&mut self, context: u32, errand: Errand) {
        self.outbox.push((context, errand));
        self.has_news = true;
    }
}
