//! Who is told of what the host reports: parts of the SDK that a filter does not use leave no code in its module.

use std::cell::Cell;

/// What is known of an answer to a call: the call, and how many fields, bytes and trailers it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) call: u32,
    pub(crate) fields: u32,
    pub(crate) body_size: usize,
}

/// What the host reports of a gRPC call or stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GrpcEvent {
    Message { size: usize },
    Closed { status: u32 },
}

type Hook<F> = Cell<Option<F>>;

/// Set by whoever begins to wait; empty hooks are what the linker cuts off.
pub(crate) struct Hooks {
    pub(crate) http: Hook<fn(HttpAnswer)>,
    pub(crate) grpc: Hook<fn(u32, GrpcEvent)>,
    pub(crate) tick: Hook<fn(u32)>,
}

thread_local! {
    static HOOKS: Hooks =
        const { Hooks { http: Cell::new(None), grpc: Cell::new(None), tick: Cell::new(None) } };
}

/// Runs a closure on this thread's hooks.
pub(crate) fn with_hooks<T>(call: impl FnOnce(&Hooks) -> T) -> T {
    HOOKS.with(call)
}
