//! The host's time: what is due happens in its order, and between two events every exchange goes on as far as it goes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::instance::Instance;
use super::passage::Passage;
use crate::host::{Delivered, Event, Headers, with_state};

/// Events without a step of time between them; more of them never end.
const MOST_AT_ONCE: usize = 10_000;

thread_local! {
    static INSTANCES: RefCell<BTreeMap<u32, Weak<Instance>>> = const { RefCell::new(BTreeMap::new()) };
    // Never dropped by the thread's end: filters may call the host then, which may be gone already.
    static PASSAGES: RefCell<ManuallyDrop<BTreeMap<u32, Rc<RefCell<Passage>>>>> =
        const { RefCell::new(ManuallyDrop::new(BTreeMap::new())) };
}

/// Lets so much time pass.
///
/// # Panics
/// When events follow each other without end at one moment: a filter that calls in a loop and never sleeps.
#[allow(clippy::panic, reason = "for tests alone")]
pub(crate) fn pass(by: Duration) {
    let until = with_state(|state| state.now + by);
    let mut at_once = 0;
    settle();
    while let Some((at, event)) = with_state(|state| state.events.next_until(until)) {
        let before = with_state(|state| state.now);
        with_state(|state| state.now = at.max(before));
        at_once = if before < at { 0 } else { at_once + 1 };
        if at_once > MOST_AT_ONCE {
            panic!("the filter is busy without end at one moment: {event:?} is the last event");
        }
        tell(event);
        settle();
    }
    with_state(|state| state.now = until);
}

/// What is due now happens.
pub(crate) fn catch_up() {
    pass(Duration::ZERO);
}

/// Events of this instance reach it from now on.
pub(crate) fn attach(instance: &Rc<Instance>) {
    INSTANCES.with_borrow_mut(|known| known.insert(instance.root(), Rc::downgrade(instance)));
}

/// The exchange goes on whenever it can, until it is gone.
pub(crate) fn follow(passage: Passage) -> Rc<RefCell<Passage>> {
    let context = passage.context;
    let passage = Rc::new(RefCell::new(passage));
    PASSAGES.with_borrow_mut(|known| known.insert(context, passage.clone()));
    passage
}

/// Forgets everything.
pub(crate) fn reset() {
    INSTANCES.take();
    // Dropped outside of the borrow: a filter's end may look here.
    let passages = PASSAGES.with_borrow_mut(|known| std::mem::take(&mut **known));
    drop(passages);
}

fn settle() {
    let passages: Vec<_> = PASSAGES.with_borrow(|known| known.values().cloned().collect());
    for passage in passages {
        let mut passage = passage.borrow_mut();
        passage.settle();
        if passage.is_gone {
            PASSAGES.with_borrow_mut(|known| known.remove(&passage.context));
        }
    }
}

/// Whoever is gone is told nothing.
fn tell(event: Event) {
    let root = event.root();
    let instance = INSTANCES.with_borrow(|known| known.get(&root).and_then(Weak::upgrade));
    let Some(instance) = instance else { return };
    match event {
        Event::Tick { .. } => {
            instance.call(root, |guest| guest.on_tick(root));
        }
        Event::QueueReady { queue, .. } => {
            instance.call(root, |guest| guest.on_queue_ready(root, queue));
        }
        Event::HttpAnswer { call, answer, .. } => {
            let (headers, trailers) = (count(&answer.headers), count(&answer.trailers));
            let body = answer.body.len();
            with_delivered(answer, || {
                instance.call(root, |guest| {
                    guest.on_http_call_response(root, call, headers, body, trailers)
                })
            });
        }
        Event::GrpcInitialMetadata { call, metadata, .. } => {
            let count = count(&metadata);
            with_delivered(Delivered { headers: metadata, ..Delivered::default() }, || {
                instance
                    .call(root, |guest| guest.on_grpc_receive_initial_metadata(root, call, count))
            });
        }
        Event::GrpcMessage { call, message, .. } => {
            let size = message.len();
            with_delivered(Delivered { body: message, ..Delivered::default() }, || {
                instance.call(root, |guest| guest.on_grpc_receive(root, call, size))
            });
        }
        Event::GrpcTrailingMetadata { call, metadata, .. } => {
            let count = count(&metadata);
            with_delivered(Delivered { trailers: metadata, ..Delivered::default() }, || {
                instance
                    .call(root, |guest| guest.on_grpc_receive_trailing_metadata(root, call, count))
            });
        }
        Event::GrpcClose { call, status, message, .. } => {
            with_state(|state| {
                state.closed = (status, message);
                state.grpc_streams.remove(&call);
            });
            instance.call(root, |guest| guest.on_grpc_close(root, call, status));
        }
    }
}

/// What is delivered is there for one callback.
fn with_delivered(delivered: Delivered, callback: impl FnOnce() -> Option<()>) {
    with_state(|state| state.delivered = Some(delivered));
    callback();
    with_state(|state| state.delivered = None);
}

fn count(headers: &Headers) -> u32 {
    headers.len() as u32
}
