//! How long a connection may be at what it is doing, as the worker's sweep sees it once a second.

use super::{Activity, Order, Phase};

/// Bytes a second below which a client that still reads its last replies counts as idle (HTTP/2).
const READING: u64 = 100;

impl Activity {
    /// Ends or cuts the connection if it has been silent for too long, or has become too old.
    pub(crate) fn enforce(&self) {
        let limits = self.limits.get();
        match self.phase.get() {
            Phase::Handshake => self.cut_after(limits.handshake),
            Phase::Greeting => self.cut_after(limits.first_byte_at(self.clock.stage())),
            Phase::Head => self.cut_after(limits.head),
            Phase::Draining => self.cut_after(limits.farewell),
            Phase::Idle
                if self.order.get() == Order::Finish && self.is_idle_for(limits.farewell) =>
            {
                self.cut();
            }
            Phase::Idle if self.order.get() < Order::Finish && self.is_idle_for(limits.idle) => {
                self.enter(Phase::Idle);
                self.finish();
            }
            Phase::Busy if self.deaf.take() || self.is_overdue() => self.wake(),
            Phase::Busy | Phase::Idle => {}
        }
        let age = self.clock.seconds().saturating_sub(self.born);
        if self.order.get() == Order::Serve && age > limits.age_for(self.luck) {
            self.order.set(Order::Retire);
            self.wake();
        }
    }

    fn cut_after(&self, seconds: u32) {
        if self.lasts(seconds) {
            self.cut();
        }
    }

    /// Whether it has been idle for so long. A client that still reads is not, as long as it does so at some
    /// speed: its time begins anew.
    fn is_idle_for(&self, seconds: u32) -> bool {
        if !self.lasts(seconds) {
            return false;
        }
        let reads = self.sent.get() > READING * u64::from(seconds);
        if reads {
            self.enter(Phase::Idle);
        }
        !reads
    }

    /// Whether the phase has lasted for so many seconds in full; ticks count whole seconds, so one more.
    fn lasts(&self, seconds: u32) -> bool {
        self.clock.seconds().saturating_sub(self.since.get()) > seconds
    }
}
