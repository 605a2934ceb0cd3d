//! Faults put in on purpose (Istio's `HTTPFaultInjection`).

use std::time::Duration;

use http::StatusCode;

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
    /// `grpcStatus`, by its number: 200 with `grpc-status`.
    Grpc(u32),
}
