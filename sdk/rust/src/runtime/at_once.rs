//! Callbacks that never wait: polled once, where they stand, without memory of their own.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Runtime;
use crate::abi::StreamKind;
use crate::arrivals::Arrivals;
use crate::message::Message;
use crate::{Error, Filter, Flow, Request, Response};

impl<F: Filter> Runtime<F> {
    pub(super) fn request_at_once(&self, context: u32, bodiless: bool) -> Result<Flow, Error> {
        self.with_stream("request", context, |filter, state| {
            let mut request = Request::new(message(StreamKind::Request, bodiless));
            ready(filter.request(&mut request, state))
        })
    }

    pub(super) fn response_at_once(&self, context: u32, bodiless: bool) -> Result<Flow, Error> {
        self.with_stream("response", context, |filter, state| {
            let mut response = Response::new(message(StreamKind::Response, bodiless));
            ready(filter.response(&mut response, state))
        })
    }
}

fn message(kind: StreamKind, bodiless: bool) -> Message {
    Message::new(kind, ARRIVALS.with(Rc::clone), bodiless)
}

thread_local! {
    /// Nobody waits for what arrives.
    static ARRIVALS: Rc<Arrivals> = Rc::new(Arrivals::new());
}

fn ready(future: impl Future<Output = Result<Flow, Error>>) -> Result<Flow, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::new(
            "it waits, but #[filter] saw no `.await` in the implementation: write #[filter(waits)]",
        )),
    }
}
