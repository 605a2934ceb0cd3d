//! Envoy's response flags: why a reply is not simply the upstream's.

use std::fmt;

/// One flag, named as in Envoy's `%RESPONSE_FLAGS%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResponseFlag {
    /// UH: no healthy endpoint.
    NoHealthyUpstream,
    /// UF: the upstream connection failed.
    UpstreamConnectionFailure,
    /// UC: the upstream connection broke off.
    UpstreamConnectionTermination,
    /// UT: the upstream took too long.
    UpstreamRequestTimeout,
    /// UPE: the upstream spoke wrongly.
    UpstreamProtocolError,
    /// NR: no route.
    NoRoute,
    /// NC: the cluster does not exist.
    NoCluster,
    /// DC: the client went away.
    DownstreamConnectionTermination,
    /// DPE: the client spoke wrongly.
    DownstreamProtocolError,
    /// LH-like local replies of a plugin that failed: `wasm` in the details tells which.
    UnauthorizedExternalService,
}

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

const NAMES: [(ResponseFlag, &str); 10] = [
    (ResponseFlag::NoHealthyUpstream, "UH"),
    (ResponseFlag::UpstreamConnectionFailure, "UF"),
    (ResponseFlag::UpstreamConnectionTermination, "UC"),
    (ResponseFlag::UpstreamRequestTimeout, "UT"),
    (ResponseFlag::UpstreamProtocolError, "UPE"),
    (ResponseFlag::NoRoute, "NR"),
    (ResponseFlag::NoCluster, "NC"),
    (ResponseFlag::DownstreamConnectionTermination, "DC"),
    (ResponseFlag::DownstreamProtocolError, "DPE"),
    (ResponseFlag::UnauthorizedExternalService, "UAEX"),
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

    /// As a number, for a metric's key and the attribute `response.flags`.
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
