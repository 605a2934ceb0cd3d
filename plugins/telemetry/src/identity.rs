//! Identities for traces that begin here: from the request's id where it has one, so that both can be found by each other.

use std::cell::Cell;

use portcullis_sdk::{Headers, time};

use crate::trace::{Hex, Origin, Sampling, SpanId, TraceContext, TraceId};

/// Gives out identities. Not secret, only distinct: a module has no need of randomness for that.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    given: Cell<u64>,
}

impl Identities {
    /// A context for a request that brought none.
    pub(crate) fn begin_trace(&self, headers: &Headers, sample: bool) -> TraceContext {
        let trace_id = match headers.first("x-request-id") {
            Some(id) if !id.is_empty() => of_request_id(&id),
            _ => Hex::write((u128::from(self.next()) << 64) | u128::from(self.next())),
        };
        let sampling = if sample { Sampling::Sampled } else { Sampling::NotSampled };
        TraceContext { trace_id, parent: None, sampling, origin: Origin::Begun }
    }

    /// A span that no other request got.
    pub(crate) fn next_span(&self) -> SpanId {
        Hex::write(u128::from(match self.next() {
            0 => 1,
            number => number,
        }))
    }

    /// Time keeps workers and restarts apart, the count keeps requests of one moment apart.
    fn next(&self) -> u64 {
        let given = self.given.get().wrapping_add(1);
        self.given.set(given);
        let now = time::now().as_nanos() as u64;
        mix(now ^ mix(given ^ self.place()))
    }

    /// Instances of one module lie at the same address in different memories, but not all hosts start them alike.
    fn place(&self) -> u64 {
        std::ptr::from_ref(self) as usize as u64
    }
}

/// A UUID is an identity already; anything else is hashed.
fn of_request_id(id: &[u8]) -> TraceId {
    let mut digits = [0; 32];
    let mut count = 0;
    for byte in id.iter().filter(|byte| **byte != b'-') {
        if let Some(digit) = digits.get_mut(count) {
            *digit = *byte;
        }
        count += 1;
    }
    let uuid = if count == 32 { Hex::read(&digits) } else { None };
    uuid.unwrap_or_else(|| Hex::write((u128::from(hash(id, 1)) << 64) | u128::from(hash(id, 2))))
}

fn hash(bytes: &[u8], seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    mix(bytes
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// Spreads every bit over all (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
