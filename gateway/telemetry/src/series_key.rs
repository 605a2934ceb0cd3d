//! What tells counts apart, packed into one number.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use portcullis_exchange::{Exchange, ResponseFlags};

/// Target, status, gRPC status, protocol and flags in 64 bits: `target:21 status:10 grpc:5 is_grpc:1 flags:27`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesKey(u64);

const FLAG_BITS: u32 = 27;
const GRPC_BITS: u32 = 5;
const STATUS_BITS: u32 = 10;
const TARGET_BITS: u32 = 21;
const STATUS_OTHER: u64 = (1 << STATUS_BITS) - 1;
const NO_GRPC_STATUS: u64 = 31;
/// What gRPC calls UNKNOWN: a number beyond the known ones, or no number at all.
const GRPC_UNKNOWN: u64 = 2;
const LARGEST_GRPC_STATUS: u64 = 16;

impl SeriesKey {
    /// Stands for everything that there was no room to count apart.
    pub(crate) const OTHER: SeriesKey =
        SeriesKey(((STATUS_OTHER << GRPC_BITS | NO_GRPC_STATUS) << 1) << FLAG_BITS);

    /// The highest target number that fits.
    pub(crate) const LAST_TARGET: u32 = (1 << TARGET_BITS) - 1;

    /// The key of a finished exchange.
    pub(crate) fn new(target: u32, exchange: &Exchange) -> Self {
        let status = exchange.response.as_ref().map_or(0, |response| response.status.as_u16());
        let is_grpc = is_grpc(&exchange.request.headers);
        let grpc = if is_grpc { grpc_status(exchange) } else { NO_GRPC_STATUS };
        let mut bits = u64::from(target.min(Self::LAST_TARGET));
        bits = bits << STATUS_BITS | u64::from(status).min(STATUS_OTHER);
        bits = bits << GRPC_BITS | grpc;
        bits = bits << 1 | u64::from(is_grpc);
        bits = bits << FLAG_BITS | u64::from(exchange.flags.bits()) & ((1 << FLAG_BITS) - 1);
        SeriesKey(bits)
    }

    /// The target's number.
    pub(crate) fn target(self) -> u32 {
        (self.0 >> (FLAG_BITS + 1 + GRPC_BITS + STATUS_BITS)) as u32
    }

    /// The status; 0 where there was no reply, `None` for [`OTHER`](Self::OTHER).
    pub(crate) fn status(self) -> Option<u16> {
        let status = self.0 >> (FLAG_BITS + 1 + GRPC_BITS) & STATUS_OTHER;
        (status != STATUS_OTHER).then_some(status as u16)
    }

    /// The gRPC status of a gRPC request that has one.
    pub(crate) fn grpc_status(self) -> Option<u8> {
        let status = self.0 >> (FLAG_BITS + 1) & 31;
        (status != NO_GRPC_STATUS).then_some(status as u8)
    }

    /// Istio's `request_protocol`.
    pub(crate) fn protocol(self) -> &'static str {
        if self.0 >> FLAG_BITS & 1 == 1 { "grpc" } else { "http" }
    }

    /// The response flags.
    pub(crate) fn flags(self) -> ResponseFlags {
        ResponseFlags::from_bits((self.0 & ((1 << FLAG_BITS) - 1)) as u32)
    }
}

/// `application/grpc`, alone or followed by `+proto` or parameters; not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let rest = kind.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

fn grpc_status(exchange: &Exchange) -> u64 {
    let Some(response) = &exchange.response else { return NO_GRPC_STATUS };
    let Some(value) = response.grpc_status() else { return NO_GRPC_STATUS };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number <= LARGEST_GRPC_STATUS).unwrap_or(GRPC_UNKNOWN)
}
