//! What a worker has to do for its instances: the calls to begin, and word of ticks and queues.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use portcullis_telemetry::PluginMetrics;

use crate::call_line::CallLine;
use crate::errands::{Call, CallId, CallReply};

/// Who made a call: an instance, to which its results come on its root context. Once the guest does not await the
/// call any more, nothing happens.
pub trait Caller {
    /// A call of HTTP is over.
    fn on_http_call_response(&self, call: CallId, reply: CallReply);
    /// A stream of gRPC is answered.
    fn on_grpc_initial_metadata(&self, call: CallId, metadata: HeaderMap);
    /// A message has come; with it a unary call is over.
    fn on_grpc_message(&self, call: CallId, message: Bytes);
    /// A stream's last fields have come.
    fn on_grpc_trailing_metadata(&self, call: CallId, metadata: HeaderMap);
    /// A call of gRPC is over, with this status and message.
    fn on_grpc_close(&self, call: CallId, status: u32, message: Bytes);
    /// The metrics of its plugin.
    fn metrics(&self) -> &PluginMetrics;
}

/// A call to be begun for an instance.
pub struct Begun {
    /// Whose it is; gone when its plugin was replaced.
    pub caller: Weak<dyn Caller>,
    /// The call.
    pub call: Call,
    /// What becomes of it on the guest's side.
    pub line: Rc<CallLine>,
}

/// One worker's list of what its instances want. It stays on the worker's thread.
#[derive(Default)]
pub(crate) struct Agenda {
    calls: RefCell<VecDeque<Begun>>,
    stir: Arc<Stir>,
}

/// Whether ticks and queues are to be looked at; queues are filled by other threads too.
#[derive(Default)]
struct Stir {
    stirred: AtomicBool,
    worker: Mutex<Option<Waker>>,
}

impl Agenda {
    /// The next call to begin; `None` where ticks and queues have to be looked at.
    pub(crate) async fn next(&self) -> Option<Begun> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Begun>> {
        let mut waker = self.stir.worker.lock();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        if let Some(call) = self.calls.borrow_mut().pop_front() {
            return Poll::Ready(Some(call));
        }
        if self.stir.stirred.swap(false, Ordering::AcqRel) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Has a call begun.
    pub(crate) fn begin(&self, call: Begun) {
        self.calls.borrow_mut().push_back(call);
        self.stir.wake_worker();
    }

    /// Has ticks and queues looked at.
    pub(crate) fn stir(&self) {
        self.stir.stir();
    }

    /// Stirs this from any thread.
    pub(crate) fn waker(&self) -> Waker {
        self.stir.clone().into()
    }
}

impl Stir {
    fn wake_worker(&self) {
        if let Some(worker) = &*self.worker.lock() {
            worker.wake_by_ref();
        }
    }

    fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
        self.wake_worker();
    }
}

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.stir();
    }
}

impl std::fmt::Debug for Agenda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agenda({} calls)", self.calls.borrow().len())
    }
}
