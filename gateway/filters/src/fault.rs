//! Faults put in on purpose (Istio's `HTTPFaultInjection`).

use std::time::Duration;

use http::StatusCode;
use portcullis_message::Reply;

/// What is done to some of the requests of a rule before they are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// `delay`
    pub delay: Option<FaultDelay>,
    /// `abort`, decided after the delay.
    pub abort: Option<FaultAbort>,
}

/// `delay`: it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultDelay {
    /// `fixedDelay`
    pub duration: Duration,
    /// Of so many requests in a million.
    pub parts_per_million: u32,
}

/// `abort`: it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultAbort {
    /// How.
    pub status: AbortStatus,
    /// Of so many requests in a million.
    pub parts_per_million: u32,
}

/// What an aborted request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// `httpStatus`
    Http(StatusCode),
    /// `grpcStatus`, by its number; clients that do not speak gRPC get 200, as from Envoy.
    Grpc(u32),
}

/// Percentages are in so many parts.
pub const ALL_PARTS: u32 = 1_000_000;

/// The reply to an aborted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// For clients that do not speak gRPC.
    pub reply: Reply,
    /// `grpc-status` for those that do; `None` for that of the reply's status.
    pub grpc_status: Option<u32>,
}

impl Fault {
    /// How long a request is delayed; `draw` gives a number below a million.
    pub fn delay(&self, draw: impl FnOnce() -> u32) -> Option<Duration> {
        let delay = self.delay.as_ref()?;
        (draw() < delay.parts_per_million).then_some(delay.duration)
    }

    /// What a request is answered with in the place of being served; `draw` gives a number below a million.
    pub fn abort(&self, draw: impl FnOnce() -> u32) -> Option<Aborted> {
        let abort = self.abort.as_ref()?;
        if draw() >= abort.parts_per_million {
            return None;
        }
        let (status, grpc_status) = match abort.status {
            AbortStatus::Http(status) => (status, None),
            AbortStatus::Grpc(status) => (StatusCode::OK, Some(status)),
        };
        Some(Aborted { reply: Reply::text(status, "fault filter abort"), grpc_status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_as_written_are_met() {
        let fault = Fault {
            delay: Some(FaultDelay { duration: Duration::from_secs(5), parts_per_million: 1 }),
            abort: Some(FaultAbort {
                status: AbortStatus::Http(StatusCode::IM_A_TEAPOT),
                parts_per_million: ALL_PARTS,
            }),
        };
        assert_eq!(fault.delay(|| 0), Some(Duration::from_secs(5)));
        assert_eq!(fault.delay(|| 1), None);
        let aborted = fault.abort(|| ALL_PARTS - 1).unwrap();
        assert_eq!((aborted.reply.status.as_u16(), aborted.grpc_status), (418, None));
        let none = Fault { delay: None, abort: None };
        assert_eq!((none.delay(|| 0), none.abort(|| 0)), (None, None));
    }

    #[test]
    fn nothing_is_met_at_nought_per_cent() {
        let status = AbortStatus::Grpc(14);
        let fault = Fault { delay: None, abort: Some(FaultAbort { status, parts_per_million: 0 }) };
        assert_eq!(fault.abort(|| 0), None);
    }

    #[test]
    fn a_status_of_grpc_is_for_those_who_speak_it() {
        let abort = FaultAbort { status: AbortStatus::Grpc(14), parts_per_million: ALL_PARTS };
        let aborted = Fault { delay: None, abort: Some(abort) }.abort(|| 0).unwrap();
        assert_eq!((aborted.reply.status.as_u16(), aborted.grpc_status), (200, Some(14)));
    }
}
