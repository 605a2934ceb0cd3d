//! Envoy's response flags: why a reply is not simply the upstream's.

use std::fmt;

/// One flag, named as in Envoy's `%RESPONSE_FLAGS%`; its number is Envoy's bit, which plugins read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResponseFlag {
    /// LH: the gateway's own health check fails.
    FailedLocalHealthCheck = 0,
    /// UH: no healthy endpoint.
    NoHealthyUpstream = 1,
    /// UT: the upstream took too long.
    UpstreamRequestTimeout = 2,
    /// LR: the gateway reset the upstream stream.
    LocalReset = 3,
    /// UR: the upstream reset the stream.
    UpstreamRemoteReset = 4,
    /// UF: the upstream connection failed.
    UpstreamConnectionFailure = 5,
    /// UC: the upstream connection broke off.
    UpstreamConnectionTermination = 6,
    /// UO: a circuit breaker is open.
    UpstreamOverflow = 7,
    /// NR: no route.
    NoRoute = 8,
    /// DI: delayed by fault injection.
    DelayInjected = 9,
    /// FI: aborted by fault injection.
    FaultInjected = 10,
    /// RL: over a local rate limit.
    RateLimited = 11,
    /// UAEX: refused by external authorisation, or by a plugin that failed (the details tell which).
    UnauthorizedExternalService = 12,
    /// RLSE: the rate limit service failed.
    RateLimitServiceError = 13,
    /// DC: the client went away.
    DownstreamConnectionTermination = 14,
    /// URX: all retries were used.
    UpstreamRetryLimitExceeded = 15,
    /// SI: the stream was idle for too long.
    StreamIdleTimeout = 16,
    /// IH: a header that only the gateway may set was wrong.
    InvalidRequestHeaders = 17,
    /// DPE: the client spoke wrongly.
    DownstreamProtocolError = 18,
    /// UMSDR: the upstream stream lived for too long.
    UpstreamMaxStreamDurationReached = 19,
    /// DT: the connection lived for too long.
    DurationTimeout = 22,
    /// UPE: the upstream spoke wrongly.
    UpstreamProtocolError = 23,
    /// NC: the cluster does not exist.
    NoCluster = 24,
    /// OM: refused under overload.
    OverloadManager = 25,
    /// DF: a name did not resolve.
    DnsResolutionFailed = 26,
}

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

const NAMES: [(ResponseFlag, &str); 25] = [
    (ResponseFlag::FailedLocalHealthCheck, "LH"),
    (ResponseFlag::NoHealthyUpstream, "UH"),
    (ResponseFlag::UpstreamRequestTimeout, "UT"),
    (ResponseFlag::LocalReset, "LR"),
    (ResponseFlag::UpstreamRemoteReset, "UR"),
    (ResponseFlag::UpstreamConnectionFailure, "UF"),
    (ResponseFlag::UpstreamConnectionTermination, "UC"),
    (ResponseFlag::UpstreamOverflow, "UO"),
    (ResponseFlag::NoRoute, "NR"),
    (ResponseFlag::DelayInjected, "DI"),
    (ResponseFlag::FaultInjected, "FI"),
    (ResponseFlag::RateLimited, "RL"),
    (ResponseFlag::UnauthorizedExternalService, "UAEX"),
    (ResponseFlag::RateLimitServiceError, "RLSE"),
    (ResponseFlag::DownstreamConnectionTermination, "DC"),
    (ResponseFlag::UpstreamRetryLimitExceeded, "URX"),
    (ResponseFlag::StreamIdleTimeout, "SI"),
    (ResponseFlag::InvalidRequestHeaders, "IH"),
    (ResponseFlag::DownstreamProtocolError, "DPE"),
    (ResponseFlag::UpstreamMaxStreamDurationReached, "UMSDR"),
    (ResponseFlag::DurationTimeout, "DT"),
    (ResponseFlag::UpstreamProtocolError, "UPE"),
    (ResponseFlag::NoCluster, "NC"),
    (ResponseFlag::OverloadManager, "OM"),
    (ResponseFlag::DnsResolutionFailed, "DF"),
];

impl ResponseFlags {
    /// The set with these [`bits`](Self::bits).
    pub fn from_bits(bits: u32) -> Self {
        ResponseFlags(bits)
    }

    /// Adds one.
    pub fn set(&mut self, flag: ResponseFlag) {
        self.0 |= 1 << flag as u32;
    }

    /// Whether one is set.
    pub fn has(self, flag: ResponseFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// As Envoy's number, for a metric's key and the attribute `response.flags`.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// `-` for none, else the names joined by commas, as in Envoy.
impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let set = NAMES.iter().filter(|(flag, _)| self.has(*flag));
        for (nth, (_, name)) in set.enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_as_envoy_writes_them() {
        let mut flags = ResponseFlags::default();
        assert_eq!(flags.to_string(), "-");
        flags.set(ResponseFlag::NoRoute);
        flags.set(ResponseFlag::UpstreamConnectionFailure);
        assert_eq!(flags.to_string(), "UF,NR");
    }
}
