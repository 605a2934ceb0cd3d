//! Envoy's foreign functions `compress` and `uncompress`: zlib's format (RFC 1950), within the budget of a callback.

use std::borrow::Cow;
use std::time::Duration;

use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus, StreamResult};

use super::outcome::Outcome;
use crate::abi::Status;
use crate::budget::processor_time;
use crate::call_end::CallError;
use crate::state::GuestState;

/// What is worked on between two looks at the clock.
const PIECE: usize = 16 << 10;
/// The most that comes out, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Compresses the arguments.
pub(super) fn compress(state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let mut compressor = Box::<CompressorOxide>::default();
    within(state, arguments, |input, output, flush| deflate(&mut compressor, input, output, flush))
}

/// Gives back what was compressed.
pub(super) fn uncompress(state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let mut decompressor = InflateState::new_boxed(DataFormat::Zlib);
    within(state, arguments, |input, output, flush| {
        // It takes no flush of its own: it ends where the format says so.
        let _ = flush;
        inflate(&mut decompressor, input, output, MZFlush::None)
    })
}

/// Works piece by piece, since the deadline of a callback does not reach into a host call.
fn within(
    state: &GuestState,
    arguments: &[u8],
    mut work: impl FnMut(&[u8], &mut [u8], MZFlush) -> StreamResult,
) -> Outcome {
    let refused = |why| CallError::Refused(Status::InternalFailure, why);
    let malformed = || CallError::Refused(Status::SerializationFailure, "the bytes are not zlib's");
    let (budget, most) = (budget(state), state.facts.settings.limits.memory.min(MOST_BYTES));
    let began = processor_time();
    let (mut input, mut output) = (arguments, Vec::new());
    let mut piece = vec![0; PIECE];
    loop {
        let (now, flush) = match input.split_at_checked(PIECE) {
            Some((now, rest)) if !rest.is_empty() => (now, MZFlush::None),
            _ => (input, MZFlush::Finish),
        };
        let result = work(now, &mut piece, flush);
        input = input.get(result.bytes_consumed..).unwrap_or_default();
        output.extend_from_slice(piece.get(..result.bytes_written).unwrap_or_default());
        if output.len() > most {
            return Err(refused("the result would be too large"));
        }
        match result.status {
            Ok(MZStatus::StreamEnd) => return Ok(Cow::Owned(output)),
            Ok(_) | Err(MZError::Buf) if result.bytes_consumed + result.bytes_written > 0 => {}
            _ => return Err(malformed()),
        }
        if processor_time().saturating_sub(began) > budget {
            return Err(refused("it took longer than a callback may"));
        }
    }
}

fn budget(state: &GuestState) -> Duration {
    state.facts.settings.limits.callback
}
