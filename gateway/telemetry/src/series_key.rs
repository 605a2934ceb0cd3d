//! What tells counts apart, packed into one number.

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
        let is_grpc = exchange.request.is_grpc();
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

fn grpc_status(exchange: &Exchange) -> u64 {
    let Some(response) = &exchange.response else { return NO_GRPC_STATUS };
    let Some(value) = response.grpc_status() else { return NO_GRPC_STATUS };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number <= LARGEST_GRPC_STATUS).unwrap_or(GRPC_UNKNOWN)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use portcullis_exchange::{ResponseFlag, ResponseHead};

    use super::*;

    fn grpc_exchange(status: Option<&'static str>) -> Exchange {
        let mut exchange = Exchange::for_test();
        let kind = HeaderValue::from_static("application/grpc+proto");
        exchange.request.headers.insert(CONTENT_TYPE, kind);
        let mut response = ResponseHead::new(StatusCode::OK, HeaderMap::new());
        if let Some(status) = status {
            let trailers = response.trailers.insert(HeaderMap::new());
            trailers.insert("grpc-status", HeaderValue::from_static(status));
        }
        exchange.response = Some(response);
        exchange
    }

    #[test]
    fn everything_packed_comes_out_again() {
        let mut exchange = grpc_exchange(Some("16"));
        exchange.flags.set(ResponseFlag::DnsResolutionFailed);
        exchange.flags.set(ResponseFlag::FailedLocalHealthCheck);
        let key = SeriesKey::new(SeriesKey::LAST_TARGET, &exchange);
        assert_eq!(key.target(), SeriesKey::LAST_TARGET);
        assert_eq!(key.status(), Some(200));
        assert_eq!(key.grpc_status(), Some(16));
        assert_eq!(key.protocol(), "grpc");
        assert_eq!(key.flags(), exchange.flags);
    }

    #[test]
    fn a_request_without_a_reply_has_status_0() {
        let key = SeriesKey::new(3, &Exchange::for_test());
        assert_eq!((key.target(), key.status(), key.grpc_status()), (3, Some(0), None));
        assert_eq!(key.protocol(), "http");
        assert!(key.flags().bits() == 0);
    }

    #[test]
    fn nonsense_is_grpcs_unknown() {
        let status_of = |text| SeriesKey::new(1, &grpc_exchange(text)).grpc_status();
        assert_eq!(status_of(Some("17")), Some(2));
        assert_eq!(status_of(Some("x")), Some(2));
        assert_eq!(status_of(None), None);
    }

    #[test]
    fn grpc_web_is_not_grpc() {
        let mut exchange = grpc_exchange(None);
        let kind = HeaderValue::from_static("application/grpc-web");
        exchange.request.headers.insert(CONTENT_TYPE, kind);
        assert_eq!(SeriesKey::new(1, &exchange).protocol(), "http");
    }

    #[test]
    fn other_is_nobodys_key() {
        assert_eq!(SeriesKey::OTHER.target(), 0);
        assert_eq!(SeriesKey::OTHER.status(), None);
        assert_eq!(SeriesKey::OTHER.grpc_status(), None);
    }
}
