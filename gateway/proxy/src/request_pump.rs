//! The body of a request passing through its plugins while its head is upstream already: a task of its own, because
//! an upload goes on whether or not anybody reads the reply.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use portcullis_exchange::Exchange;
use portcullis_message::{BodySender, Demand};
use tokio::task::JoinHandle;

use crate::client_body::ClientBody;
use crate::flow::{Flow, Out};
use crate::stop::Stop;

/// The task. Dropping this ends it.
pub(crate) struct RequestPump {
    shared: Rc<Shared>,
    task: JoinHandle<()>,
}

/// How it came to its end, for whoever awaits the reply.
#[derive(Clone)]
pub(crate) struct PumpWatch(Rc<Shared>);

struct Shared {
    pump: RefCell<Pump>,
    stop: RefCell<Option<Stop>>,
    waker: RefCell<Option<Waker>>,
}

struct Pump {
    flow: Flow,
    body: ClientBody,
    /// A copy of the record, since the other one is where the reply is.
    record: Box<Exchange>,
    sender: Option<BodySender>,
}

impl RequestPump {
    /// Starts it on this thread.
    pub(crate) fn start(
        flow: Flow,
        body: ClientBody,
        record: Box<Exchange>,
        sender: BodySender,
    ) -> Self {
        let pump = Pump { flow, body, record, sender: Some(sender) };
        let shared = Rc::new(Shared {
            pump: RefCell::new(pump),
            stop: RefCell::default(),
            waker: RefCell::default(),
        });
        let of_task = shared.clone();
        let task = tokio::task::spawn_local(poll_fn(move |cx| of_task.poll(cx)));
        RequestPump { shared, task }
    }

    /// What tells of its end.
    pub(crate) fn watch(&self) -> PumpWatch {
        PumpWatch(self.shared.clone())
    }

    /// Brings what plugins left on the record to the other one.
    pub(crate) fn hand_over(&self, exchange: &mut Exchange) {
        let Pump { flow, record, .. } = &mut *self.shared.pump.borrow_mut();
        flow.bring_back(record);
        for (name, value) in &record.state {
            exchange.set_state(name, value.clone());
        }
        flow.park(record);
    }
}

impl Drop for RequestPump {
    fn drop(&mut self) {
        self.task.abort();
        let Pump { flow, record, sender, .. } = &mut *self.shared.pump.borrow_mut();
        flow.bring_back(record);
        // Whoever reads it learns that the body broke off.
        *sender = None;
    }
}

impl PumpWatch {
    /// Why the body broke off at a plugin.
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Stop> {
        match self.0.stop.take() {
            Some(stop) => Poll::Ready(stop),
            None => {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Shared {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.pump.borrow_mut().poll(cx);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(stop)) => {
                *self.stop.borrow_mut() = Some(stop);
                self.pump.borrow_mut().sender = None;
                if let Some(waker) = self.waker.take() {
                    waker.wake();
                }
                Poll::Ready(())
            }
        }
    }
}

impl Pump {
    /// One frame for each that is asked for.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            let Some(sender) = &mut self.sender else { return Poll::Ready(Ok(())) };
            match sender.poll_demand(cx) {
                Poll::Ready(Demand::Gone) => return Poll::Ready(Ok(())),
                Poll::Ready(Demand::Frame) => {}
                Poll::Ready(Demand::None) | Poll::Pending => {
                    // A plugin that holds the body may answer before anybody asks for more.
                    return self.flow.poll_held(cx, &mut self.record).map(Err);
                }
            }
            let Poll::Ready(out) = self.flow.poll_next(cx, &mut self.record, &mut self.body)?
            else {
                return Poll::Pending;
            };
            match out {
                Out::Data(data) if !self.flow.is_ended() => sender.send(data),
                Out::Data(data) => self.end(|sender| sender.send_last(data)),
                Out::Trailers(trailers) => self.end(|sender| sender.send_trailers(trailers)),
                Out::End => self.end(BodySender::finish),
            }
        }
    }

    fn end(&mut self, with: impl FnOnce(BodySender)) {
        if let Some(sender) = self.sender.take() {
            with(sender);
        }
    }
}
