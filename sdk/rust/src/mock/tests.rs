//! The mock host by itself, with modules that are scripts: it does what Envoy does.

mod answers;
mod bodies;
mod ends;
mod grpc_calls;
mod plugins;
mod replies;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::direction::Piece;
use super::guest::Guest;
use super::instance::Instance;
use super::sending::{Sending, with_defaults};
use super::{Exchange, clock};

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// A callback, with its context or call and the numbers that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Tick,
    QueueReady(u32),
    RequestHeaders(u32, u32),
    RequestBody(u32, usize, u32),
    RequestTrailers(u32, u32),
    ResponseHeaders(u32, u32),
    ResponseBody(u32, usize, u32),
    ResponseTrailers(u32, u32),
    HttpAnswer(u32, u32, usize, u32),
    GrpcInitialMetadata(u32, u32),
    GrpcMessage(u32, usize),
    GrpcTrailingMetadata(u32, u32),
    GrpcClose(u32, u32),
    Done(u32),
    Log(u32),
    Delete(u32),
}

/// A module whose callbacks are one closure.
struct Scripted {
    script: Box<dyn Fn(Told) -> u32>,
    told: Rc<RefCell<Vec<Told>>>,
}

/// The started module, and what it has been told.
struct Module {
    instance: Rc<Instance>,
    told: Rc<RefCell<Vec<Told>>>,
}

impl Module {
    fn start(script: impl Fn(Told) -> u32 + 'static) -> Self {
        let told = Rc::new(RefCell::new(Vec::new()));
        let guest = Scripted { script: Box::new(script), told: told.clone() };
        let instance = Rc::new(Instance::start(Box::new(guest), "{}").unwrap());
        clock::attach(&instance);
        Module { instance, told }
    }

    fn request(&self) -> Sending<'_, Exchange> {
        let send = |headers, pieces| Exchange::begin(self.instance.clone(), headers, pieces);
        Sending::new(with_defaults([(":path", "/")], &[(":method", "GET")]), Box::new(send))
    }

    /// What it was told since it was last asked.
    fn told(&self) -> Vec<Told> {
        self.told.take()
    }
}

impl Scripted {
    fn tell(&self, told: Told) -> u32 {
        self.told.borrow_mut().push(told);
        (self.script)(told)
    }
}

impl Guest for Scripted {
    fn on_context_create(&self, _: u32, _: u32) {}

    fn on_vm_start(&self) -> bool {
        true
    }

    fn on_configure(&self, _: u32, _: usize) -> bool {
        true
    }

    fn on_tick(&self, _: u32) {
        self.tell(Told::Tick);
    }

    fn on_queue_ready(&self, _: u32, queue: u32) {
        self.tell(Told::QueueReady(queue));
    }

    fn on_request_headers(&self, context: u32, end: u32) -> u32 {
        self.tell(Told::RequestHeaders(context, end))
    }

    fn on_request_body(&self, context: u32, size: usize, end: u32) -> u32 {
        self.tell(Told::RequestBody(context, size, end))
    }

    fn on_request_trailers(&self, context: u32, count: u32) -> u32 {
        self.tell(Told::RequestTrailers(context, count))
    }

    fn on_response_headers(&self, context: u32, end: u32) -> u32 {
        self.tell(Told::ResponseHeaders(context, end))
    }

    fn on_response_body(&self, context: u32, size: usize, end: u32) -> u32 {
        self.tell(Told::ResponseBody(context, size, end))
    }

    fn on_response_trailers(&self, context: u32, count: u32) -> u32 {
        self.tell(Told::ResponseTrailers(context, count))
    }

    fn on_http_call_response(&self, _: u32, call: u32, headers: u32, body: usize, trailers: u32) {
        self.tell(Told::HttpAnswer(call, headers, body, trailers));
    }

    fn on_grpc_receive_initial_metadata(&self, _: u32, call: u32, count: u32) {
        self.tell(Told::GrpcInitialMetadata(call, count));
    }

    fn on_grpc_receive(&self, _: u32, call: u32, size: usize) {
        self.tell(Told::GrpcMessage(call, size));
    }

    fn on_grpc_receive_trailing_metadata(&self, _: u32, call: u32, count: u32) {
        self.tell(Told::GrpcTrailingMetadata(call, count));
    }

    fn on_grpc_close(&self, _: u32, call: u32, status: u32) {
        self.tell(Told::GrpcClose(call, status));
    }

    fn on_done(&self, context: u32) -> bool {
        self.tell(Told::Done(context)) == CONTINUE
    }

    fn on_log(&self, context: u32) {
        self.tell(Told::Log(context));
    }

    fn on_delete(&self, context: u32) {
        self.tell(Told::Delete(context));
    }
}

fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn empty_pieces_are_no_body() {
    assert_eq!(Piece::of_message(vec![vec![]], None).len(), 1);
    assert_eq!(Piece::of_message(vec![vec![], vec![1]], None).len(), 2);
}
