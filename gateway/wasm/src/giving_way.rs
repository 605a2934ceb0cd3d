//! An instance whose callbacks give way: how one is begun, gone on with, run to its end, and broken off.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use portcullis_exchange::Exchange;

use crate::asked::{Asked, Late, Seen, with};
use crate::budget::Slices;
use crate::effects::{Action, Direction, Effects, PluginFault};
use crate::held::Parked;
use crate::instance::Instance;
use crate::slow_call::{SlowCall, Untold};
use crate::state::blank_exchange;

impl Instance {
    /// How long the next callback runs before it gives way; `None` where it runs at once: while the other half of its
    /// stream is held here, as the guest may want to reach that, and it could not be taken back meanwhile.
    pub(crate) fn slice_for_next(&self) -> Option<Duration> {
        let slice = self.slice?;
        self.run_out();
        (!self.held.borrow().is_busy()).then_some(slice)
    }

    /// Begins a callback that gives way; it has run for its first slice, and perhaps to its end.
    pub(crate) fn pass_slowly(
        &self,
        seen: Seen,
        exchange: &mut Box<Exchange>,
        (body, asked): (Bytes, Asked),
        slice: Duration,
    ) -> Result<Effects, PluginFault> {
        if self.usage.is_over_budget(seen.stream.0) {
            return Err(PluginFault::request_budget());
        }
        let Some(mut vm) = self.vm.take() else {
            return Err(PluginFault::dead());
        };
        self.counted.set(false);
        std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
        let call = Box::new(SlowCall::begin(vm, seen, body, asked, Slices::new(slice)));
        match self.go_on(call, exchange, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => ended,
            Poll::Pending => Ok(Effects { action: Action::Runs, ..Effects::none() }),
        }
    }

    /// Goes on for a slice with the callback for this half of the stream that [runs](Action::Runs). The exchange is back
    /// once it has ended.
    pub fn poll_slow(
        &self,
        direction: Direction,
        exchange: &mut Box<Exchange>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Effects, PluginFault>> {
        if let Some(untold) = self.slow.take_untold(direction) {
            return Poll::Ready(self.tell(untold, exchange));
        }
        match self.slow.take_running_of(direction) {
            Some(call) => self.go_on(call, exchange, cx),
            None => Poll::Ready(Err(PluginFault::dead())),
        }
    }

    /// The same to its end, where something else waits for it.
    pub fn finish_slow(
        &self,
        direction: Direction,
        exchange: &mut Box<Exchange>,
    ) -> Result<Effects, PluginFault> {
        loop {
            let cx = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(ended) = self.poll_slow(direction, exchange, cx) {
                return ended;
            }
        }
    }

    fn go_on(
        &self,
        mut call: Box<SlowCall>,
        exchange: &mut Box<Exchange>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Effects, PluginFault>> {
        let Poll::Ready((vm, result)) = call.poll(cx) else {
            self.slow.set_running(call);
            return Poll::Pending;
        };
        match (vm, &result) {
            (Some(mut vm), result) => {
                std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
                match result {
                    Ok(_) => self.settle(vm),
                    Err(fault) => self.bury(vm, fault),
                }
            }
            (None, _) => self.lose(*call, exchange),
        }
        Poll::Ready(result)
    }

    /// Runs the callback that gave way to its end: the guest is to be told of something else, which cannot wait.
    /// Callbacks for anything else find its half of the stream as if it was held.
    pub(crate) fn run_out(&self) {
        let mut exchange = None;
        while let Some(call) = self.slow.take_running() {
            let about = call.about.clone();
            let exchange = exchange.get_or_insert_with(blank_exchange);
            let polled = self.go_on(call, exchange, &mut Context::from_waker(Waker::noop()));
            let Poll::Ready(result) = polled else { continue };
            let changed = result.as_ref().ok().and_then(|effects| effects.body.clone());
            let parked = Parked {
                exchange: Some(std::mem::replace(exchange, blank_exchange())),
                body: changed.unwrap_or_else(|| about.shown.clone()),
                body_changed: false,
            };
            self.park(about.stream, about.direction, parked);
            return self.slow.set_untold(Untold { about, result });
        }
    }

    /// What came of a callback that was run to its end, with what was asked of its stream since.
    fn tell(&self, untold: Untold, exchange: &mut Box<Exchange>) -> Result<Effects, PluginFault> {
        let Untold { about, result } = untold;
        let parked = self.unpark(about.stream, about.direction);
        let mut effects = result;
        if let Some(parked) = parked {
            if let (Ok(effects), true) = (&mut effects, parked.body_changed && about.of_body) {
                effects.body = Some(parked.body);
            }
            parked.exchange.into_iter().for_each(|record| *exchange = record);
        }
        let mut held = self.held.borrow_mut();
        let resumed = held.take_resumed(about.stream.0, about.direction);
        let (reply, closing) = held.take_overdue(about.stream.0);
        effects.map(|effects| with(effects, Late { reply, closing, resumed }))
    }

    /// Breaks off the callback for this half that runs, if any, and the instance with it. The exchange is back.
    pub fn break_off(&self, direction: Direction, exchange: &mut Box<Exchange>) {
        if self.slice.is_none() {
            return;
        }
        if let Some(untold) = self.slow.take_untold(direction) {
            // Nobody asks any more what came of it.
            let _ = self.tell(untold, exchange);
        }
        if let Some(call) = self.slow.take_running_of(direction) {
            self.lose(*call, exchange);
        }
    }

    fn lose(&self, call: SlowCall, exchange: &mut Box<Exchange>) {
        self.die();
        if let Some(record) = call.break_off() {
            *exchange = record;
        }
    }
}
