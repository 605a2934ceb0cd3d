//! Numbers of the ABI that both hosts, the real one and the mock, are asked with.

/// Header maps.
#[allow(dead_code, reason = "the ABI's numbers, whole")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKind {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    GrpcInitialMetadata = 4,
    GrpcTrailingMetadata = 5,
    CallResponseHeaders = 6,
    CallResponseTrailers = 7,
}

/// Buffers of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferKind {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    GrpcMessage = 5,
    PluginConfiguration = 7,
}

/// The two directions of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Request = 0,
    Response = 1,
}

/// Whether more messages of ours follow on a gRPC stream.
#[allow(dead_code, reason = "the ABI's numbers, whole")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    More = 0,
    Last = 1,
}

/// What became of a write to the shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Done,
    /// Somebody else wrote since the value was read.
    Conflict,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// How grave a line is; in the ABI's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following single steps.
    Trace,
    /// For finding faults.
    Debug,
    /// Worth knowing.
    Info,
    /// Odd, but served.
    Warn,
    /// Something failed.
    Error,
    /// The plugin cannot go on.
    Critical,
}

impl Level {
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            0 => Level::Trace,
            1 => Level::Debug,
            2 => Level::Info,
            3 => Level::Warn,
            4 => Level::Error,
            _ => Level::Critical,
        }
    }
}
