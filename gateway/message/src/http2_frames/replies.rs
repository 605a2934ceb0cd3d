//! What an upstream's frames on an HTTP/2 connection are held to.

use super::allowance::Allowance;
use super::heads::{FrameHead, FrameHeads};
use super::{
    ACK, CONTINUATION, CONTINUATIONS, DATA, END_HEADERS, END_STREAM, FREE, Flood, FrameLimits,
    GOAWAY, HEADERS, PER_DATA, PING, PREFACE, PUSH_PROMISE, SETTINGS,
};

/// Frames that a request of ours may cause: interim replies, the reply's head and trailers, windows, a reset.
const PER_REQUEST: u32 = 24;
/// The most that can be saved up of them.
const SAVED: u32 = 4000;

/// Watches the frames of one connection to an upstream, both directions.
///
/// As [`FrameGuard`](super::FrameGuard) it has two budgets, of a hundred frames at first: PING, SETTINGS and
/// frames without content; and heads, windows, resets and unknown frames, which our requests and their data earn.
/// The clock is read only where a budget is used up.
#[derive(Debug)]
pub struct ReplyGuard {
    received: FrameHeads,
    sent: FrameHeads,
    limits: FrameLimits,
    control: Allowance,
    attendant: Allowance,
    /// The second up to which the budgets have earned.
    second: u32,
    /// Of the header block that is coming in.
    block: u32,
    continuations: u32,
}

impl ReplyGuard {
    /// A connection on which nothing was sent yet, not even the preface.
    pub fn new(limits: FrameLimits) -> Self {
        ReplyGuard {
            received: FrameHeads::after(0),
            sent: FrameHeads::after(PREFACE),
            limits,
            control: Allowance::new(FREE, FREE),
            attendant: Allowance::new(FREE, SAVED),
            second: 0,
            block: 0,
            continuations: 0,
        }
    }

    /// Bytes came, cut anywhere. `second` tells the seconds since the connection began.
    ///
    /// # Errors
    /// The connection is to be ended; what came last should not be read.
    pub fn receive(&mut self, mut bytes: &[u8], second: impl Fn() -> u32) -> Result<(), Flood> {
        let mut outcome = Ok(());
        while let Some(head) = self.received.next(&mut bytes) {
            outcome = outcome.and(self.take(&head, &second));
        }
        outcome
    }

    /// Bytes went out, cut anywhere.
    pub fn send(&mut self, mut bytes: &[u8]) {
        while let Some(head) = self.sent.next(&mut bytes) {
            match head.kind {
                HEADERS => self.attendant.earn(PER_REQUEST),
                // A server that measures its bandwidth sends a PING after data.
                DATA if head.length > 0 => {
                    self.control.earn(1);
                    self.attendant.earn(PER_DATA);
                }
                // Its answer.
                PING if !head.has(ACK) => self.control.earn(1),
                _ => {}
            }
        }
    }

    fn take(&mut self, head: &FrameHead, second: &impl Fn() -> u32) -> Result<(), Flood> {
        match head.kind {
            DATA if head.content() == 0 && !head.has(END_STREAM) => self.spend_control(second),
            DATA => Ok(()),
            HEADERS => {
                (self.block, self.continuations) = (0, 0);
                self.spend_attendant(second)?;
                self.add_to_block(head, second)
            }
            CONTINUATION => {
                self.continuations += 1;
                if self.continuations > CONTINUATIONS {
                    return Err(Flood::HeaderBlock);
                }
                self.add_to_block(head, second)
            }
            // The library knows whether it waits for one.
            SETTINGS if head.has(ACK) => Ok(()),
            SETTINGS | PING | GOAWAY | PUSH_PROMISE => self.spend_control(second),
            // WINDOW_UPDATE, RST_STREAM, PRIORITY, and what nobody knows.
            _ => self.spend_attendant(second),
        }
    }

    fn add_to_block(&mut self, head: &FrameHead, second: &impl Fn() -> u32) -> Result<(), Flood> {
        self.block = self.block.saturating_add(head.length);
        if self.block > self.limits.header_block {
            return Err(Flood::HeaderBlock);
        }
        let empty = head.length == 0 && !head.has(END_HEADERS);
        if empty { self.spend_control(second) } else { Ok(()) }
    }

    fn spend_control(&mut self, second: &impl Fn() -> u32) -> Result<(), Flood> {
        if self.control.spend() {
            return Ok(());
        }
        self.earn_by_time(second());
        if self.control.spend() { Ok(()) } else { Err(Flood::Control) }
    }

    fn spend_attendant(&mut self, second: &impl Fn() -> u32) -> Result<(), Flood> {
        if self.attendant.spend() {
            return Ok(());
        }
        self.earn_by_time(second());
        if self.attendant.spend() { Ok(()) } else { Err(Flood::Attendant) }
    }

    fn earn_by_time(&mut self, now: u32) {
        let passed = now.saturating_sub(self.second);
        self.second = now;
        let earned = passed.saturating_mul(self.limits.control_frames);
        self.control.earn(earned);
        self.attendant.earn(earned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RST_STREAM: u8 = 3;
    const WINDOW_UPDATE: u8 = 8;

    fn guard() -> ReplyGuard {
        ReplyGuard::new(FrameLimits { control_frames: 10, header_block: 1 << 10 })
    }

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(9 + usize::from(length), 0);
        frame
    }

    /// How many such frames pass in one second.
    fn passing(guard: &mut ReplyGuard, frame: &[u8], second: u32) -> usize {
        (0..10_000).take_while(|_| guard.receive(frame, || second).is_ok()).count()
    }

    #[test]
    fn floods_end_a_connection() {
        for (kind, length) in [(PING, 8), (SETTINGS, 0), (DATA, 0)] {
            assert_eq!(passing(&mut guard(), &frame(kind, 0, length), 0), 100, "{kind}");
        }
        for kind in [RST_STREAM, WINDOW_UPDATE, 99] {
            assert_eq!(passing(&mut guard(), &frame(kind, 0, 4), 0), 100, "{kind}");
        }
        assert_eq!(passing(&mut guard(), &frame(HEADERS, END_HEADERS, 1), 0), 100);
        assert_eq!(passing(&mut guard(), &frame(CONTINUATION, 0, 1), 0), 16);
    }

    #[test]
    fn time_and_requests_earn_more() {
        let mut guard = guard();
        assert_eq!(passing(&mut guard, &frame(PING, 0, 8), 0), 100);
        assert_eq!(passing(&mut guard, &frame(PING, 0, 8), 3), 30);
        assert_eq!(passing(&mut guard, &frame(WINDOW_UPDATE, 0, 4), 3), 130);
        guard.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        guard.send(&frame(HEADERS, END_HEADERS, 1));
        assert_eq!(passing(&mut guard, &frame(WINDOW_UPDATE, 0, 4), 3), 24);
        guard.send(&frame(PING, 0, 8));
        assert_eq!(passing(&mut guard, &frame(PING, ACK, 8), 3), 1);
    }

    #[test]
    fn a_header_block_is_bounded() {
        let mut guard = guard();
        let fits = [frame(HEADERS, 0, 255), frame(CONTINUATION, END_HEADERS, 255)].concat();
        assert!(guard.receive(&fits, || 0).is_ok());
        let mut large = frame(HEADERS, 0, 255);
        (0..4).for_each(|_| large.extend(frame(CONTINUATION, 0, 255)));
        assert_eq!(guard.receive(&large, || 0), Err(Flood::HeaderBlock));
    }

    #[test]
    fn data_costs_nothing() {
        assert_eq!(passing(&mut guard(), &frame(DATA, 0, 1), 0), 10_000);
    }
}
