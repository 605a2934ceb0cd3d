//! The callback of one message, as a future that is begun, polled and dropped; its memory serves one message after another.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::abi::StreamKind;
use crate::arrivals::Arrivals;
use crate::message::Message;
use crate::waking::{Alarm, Duty};
use crate::{Error, Filter, Flow, Request, Response};

/// What the future is made of.
pub(super) struct Start<F: Filter> {
    pub(super) context: u32,
    pub(super) filter: Rc<F>,
    pub(super) state: F::State,
    pub(super) bodiless: bool,
}

/// The future's type has no name: this one is its face.
pub(super) trait Task<F: Filter> {
    fn begin(&mut self, start: Start<F>);
    fn poll(&mut self) -> Poll<Result<Flow, Error>>;
    /// Drops the future, if it is not done, and gives the state back.
    fn end(&mut self) -> Option<F::State>;
    fn arrivals(&self) -> &Arrivals;
}

pub(super) type AnyTask<F> = Box<dyn Task<F>>;

/// A task for requests, to be begun again and again.
pub(super) fn request_task<F: Filter>() -> AnyTask<F> {
    boxed(StreamKind::Request, |filter: Rc<F>, mut state: Lent<F::State>, message| async move {
        let mut request = Request::new(message);
        let flow = filter.request(&mut request, state.borrow()).await?;
        if flow == Flow::Continue {
            request.settle()?;
        }
        Ok(flow)
    })
}

/// A task for responses, to be begun again and again.
pub(super) fn response_task<F: Filter>() -> AnyTask<F> {
    boxed(StreamKind::Response, |filter: Rc<F>, mut state: Lent<F::State>, message| async move {
        let mut response = Response::new(message);
        let flow = filter.response(&mut response, state.borrow()).await?;
        if flow == Flow::Continue {
            response.settle()?;
        }
        Ok(flow)
    })
}

struct Reused<S, M, Fut> {
    kind: StreamKind,
    alarm: Arc<Alarm>,
    waker: Waker,
    arrivals: Rc<Arrivals>,
    /// Where the future leaves the state when it is dropped.
    state: Rc<Cell<Option<S>>>,
    make: M,
    future: Pin<Box<Option<Fut>>>,
}

fn boxed<F, M, Fut>(kind: StreamKind, make: M) -> AnyTask<F>
where
    F: Filter,
    M: Fn(Rc<F>, Lent<F::State>, Message) -> Fut + 'static,
    Fut: Future<Output = Result<Flow, Error>> + 'static,
{
    let alarm = Alarm::new(match kind {
        StreamKind::Request => Duty::Request,
        StreamKind::Response => Duty::Response,
    });
    Box::new(Reused {
        kind,
        waker: Waker::from(alarm.clone()),
        alarm,
        arrivals: Rc::new(Arrivals::new()),
        state: Rc::new(Cell::new(None)),
        make,
        future: Box::pin(None),
    })
}

impl<F, M, Fut> Task<F> for Reused<F::State, M, Fut>
where
    F: Filter,
    M: Fn(Rc<F>, Lent<F::State>, Message) -> Fut,
    Fut: Future<Output = Result<Flow, Error>>,
{
    fn begin(&mut self, start: Start<F>) {
        self.alarm.assign(start.context);
        self.arrivals.begin(start.bodiless);
        let message = Message::new(self.kind, self.arrivals.clone(), start.bodiless);
        let state = Lent { state: Some(start.state), owner: self.state.clone() };
        let future = (self.make)(start.filter, state, message);
        self.future.set(Some(future));
    }

    fn poll(&mut self) -> Poll<Result<Flow, Error>> {
        self.alarm.silence();
        match self.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(&mut Context::from_waker(&self.waker)),
            None => Poll::Ready(Ok(Flow::Continue)),
        }
    }

    fn end(&mut self) -> Option<F::State> {
        self.future.set(None);
        self.alarm.silence();
        self.state.take()
    }

    fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }
}

/// The state while a callback has it; it goes back to its owner however the callback ends.
pub(super) struct Lent<S> {
    state: Option<S>,
    owner: Rc<Cell<Option<S>>>,
}

impl<S: Default> Lent<S> {
    fn borrow(&mut self) -> &mut S {
        self.state.get_or_insert_default()
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        self.owner.set(self.state.take());
    }
}
