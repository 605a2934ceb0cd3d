//! The frames of an HTTP/2 connection by their heads alone, and what floods of them are held to.
//!
//! It reads nine bytes of each frame and skips the rest, so it decodes nothing and holds nothing; what frames
//! mean is the HTTP/2 library's business. It budgets what that library does not.

mod allowance;
mod heads;
mod replies;

use allowance::Allowance;
use heads::{FrameHead, FrameHeads};

pub use replies::ReplyGuard;

/// What the client says before its first frame (RFC 9113 section 3.4), in bytes.
const PREFACE: u32 = 24;
/// Frames of each sort that are free, and the most that can be saved up of PING and the like.
const FREE: u32 = 100;
/// The most that can be saved up of the frames that go with streams and data.
const SAVED: u32 = 1000;
/// WINDOW_UPDATE, PRIORITY and RST_STREAM frames that a stream may cause.
const PER_STREAM: u32 = 4;
/// The same for a frame of data that we sent.
const PER_DATA: u32 = 10;
/// CONTINUATION frames of one header block.
const CONTINUATIONS: u32 = 16;
/// Data below which a frame counts as small, in bytes.
const SMALL: u32 = 256;
/// Streams within a second from which on resets are looked at.
const MANY_STREAMS: u32 = 500;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Watches the frames of one connection, both directions.
///
/// Two budgets, each of a hundred frames at first and some more for each second: PING, SETTINGS and frames
/// without content earn one more for each frame of data that we send (clients that measure their bandwidth send
/// a PING after it); WINDOW_UPDATE, PRIORITY, RST_STREAM and unknown frames earn more by streams and by data.
#[derive(Debug)]
pub struct FrameGuard {
    received: FrameHeads,
    sent: FrameHeads,
    limits: FrameLimits,
    control: Allowance,
    attendant: Allowance,
    /// The second that is counted below.
    second: u32,
    opened: u32,
    reset: u32,
    last_stream: u32,
    data_sent: u64,
    small_data: u32,
    /// Of the header block that is coming in.
    block: u32,
    continuations: u32,
}

/// What a connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Frames a second, after the first hundred.
    pub control_frames: u32,
    /// A header block as it comes, in bytes.
    pub header_block: u32,
}

/// Why a connection is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// PING, SETTINGS, or frames without content.
    Control,
    /// WINDOW_UPDATE, PRIORITY, RST_STREAM or unknown frames beyond what streams and data call for.
    Attendant,
    /// A header block in too many pieces, or too large.
    HeaderBlock,
    /// Most of many streams were reset as soon as they were opened.
    Resets,
}

impl Flood {
    /// What the access log says.
    pub fn details(self) -> &'static str {
        match self {
            Flood::Control => "http2.control_frame_flood",
            Flood::Attendant => "http2.frame_flood",
            Flood::HeaderBlock => "http2.header_block_too_large",
            Flood::Resets => "http2.rapid_reset",
        }
    }
}

/// A stream that we refused for a fault of the client's: its RST_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedStream {
    /// The error code.
    pub code: u32,
}

impl FrameGuard {
    /// A connection on which the client's preface is still to come.
    pub fn new(limits: FrameLimits) -> Self {
        FrameGuard {
            received: FrameHeads::after(PREFACE),
            sent: FrameHeads::after(0),
            limits,
            control: Allowance::new(FREE, FREE),
            attendant: Allowance::new(FREE, SAVED),
            second: 0,
            opened: 0,
            reset: 0,
            last_stream: 0,
            data_sent: 0,
            small_data: 0,
            block: 0,
            continuations: 0,
        }
    }

    /// Bytes came, cut anywhere. `second` counts the seconds of a clock that never goes back.
    ///
    /// # Errors
    /// The connection is to be ended; what came last should not be read.
    pub fn receive(&mut self, mut bytes: &[u8], second: u32) -> Result<(), Flood> {
        if second != self.second {
            self.begin_second(second);
        }
        let mut outcome = Ok(());
        while let Some(head) = self.received.next(&mut bytes) {
            outcome = outcome.and(self.take(&head));
        }
        outcome
    }

    /// Bytes went out. Shows each stream that was reset for a fault of the client's.
    pub fn send(&mut self, mut bytes: &[u8], mut refused: impl FnMut(RefusedStream)) {
        while let Some(head) = self.sent.next(&mut bytes) {
            match head.kind {
                DATA if head.length > 0 => {
                    self.control.earn(1);
                    self.attendant.earn(PER_DATA);
                    self.data_sent += u64::from(head.length);
                }
                RST_STREAM if is_clients_fault(head.code) => {
                    self.reset += 1;
                    refused(RefusedStream { code: head.code });
                }
                _ => {}
            }
        }
    }

    /// Whether what went out ends with a frame, so that another may follow.
    pub fn may_send_frame(&self) -> bool {
        self.sent.is_between()
    }

    /// Bytes of DATA that went out.
    pub fn data_sent(&self) -> u64 {
        self.data_sent
    }

    /// How many small frames of DATA have come since this was asked last.
    pub fn take_small_data(&mut self) -> u32 {
        std::mem::take(&mut self.small_data)
    }

    /// The latest stream that the client opened.
    pub fn last_stream(&self) -> u32 {
        self.last_stream
    }

    fn begin_second(&mut self, second: u32) {
        let passed = second.saturating_sub(self.second);
        let earned = passed.saturating_mul(self.limits.control_frames);
        self.second = second;
        self.control.earn(earned);
        self.attendant.earn(earned);
        (self.opened, self.reset) = (0, 0);
    }

    fn take(&mut self, head: &FrameHead) -> Result<(), Flood> {
        match head.kind {
            DATA if head.content() == 0 && !head.has(END_STREAM) => self.spend_control(),
            DATA => {
                self.small_data += u32::from(head.content() < SMALL);
                Ok(())
            }
            HEADERS => self.take_headers(head),
            CONTINUATION => self.take_continuation(head),
            // The library knows whether it waits for one.
            SETTINGS if head.has(ACK) => Ok(()),
            SETTINGS | PING | GOAWAY | PUSH_PROMISE => self.spend_control(),
            RST_STREAM => {
                self.reset += 1;
                self.spend_attendant()?;
                self.check_resets()
            }
            // WINDOW_UPDATE, PRIORITY, and what nobody knows.
            _ => self.spend_attendant(),
        }
    }

    fn take_headers(&mut self, head: &FrameHead) -> Result<(), Flood> {
        (self.block, self.continuations) = (0, 0);
        if head.stream > self.last_stream {
            self.last_stream = head.stream;
            self.opened += 1;
            self.attendant.earn(PER_STREAM);
        } else {
            self.spend_attendant()?;
        }
        self.add_to_block(head)?;
        self.check_resets()
    }

    fn take_continuation(&mut self, head: &FrameHead) -> Result<(), Flood> {
        self.continuations += 1;
        if self.continuations > CONTINUATIONS {
            return Err(Flood::HeaderBlock);
        }
        self.add_to_block(head)
    }

    fn add_to_block(&mut self, head: &FrameHead) -> Result<(), Flood> {
        self.block = self.block.saturating_add(head.length);
        if self.block > self.limits.header_block {
            return Err(Flood::HeaderBlock);
        }
        if head.length == 0 && !head.has(END_HEADERS) { self.spend_control() } else { Ok(()) }
    }

    /// Streams that we had to reset count as well: who provokes that has us do the same work.
    fn check_resets(&self) -> Result<(), Flood> {
        let most = self.reset > self.opened / 2;
        if self.opened >= MANY_STREAMS && most { Err(Flood::Resets) } else { Ok(()) }
    }

    fn spend_control(&mut self) -> Result<(), Flood> {
        if self.control.spend() { Ok(()) } else { Err(Flood::Control) }
    }

    fn spend_attendant(&mut self) -> Result<(), Flood> {
        if self.attendant.spend() { Ok(()) } else { Err(Flood::Attendant) }
    }
}

/// Codes that say so: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
/// COMPRESSION_ERROR, ENHANCE_YOUR_CALM (RFC 9113 section 7).
fn is_clients_fault(code: u32) -> bool {
    matches!(code, 1 | 3 | 5 | 6 | 7 | 9 | 11)
}

#[cfg(test)]
mod tests;
