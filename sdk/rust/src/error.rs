//! What the host refuses.

use std::fmt;

/// The host refused a call. Never a panic: what to make of it is the filter's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    call: &'static str,
    status: u32,
}

impl HostError {
    pub(crate) const NOT_FOUND: u32 = 1;
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) const BAD_ARGUMENT: u32 = 2;
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) const PARSE_FAILURE: u32 = 4;
    #[cfg(target_arch = "wasm32")]
    pub(crate) const EMPTY: u32 = 7;
    pub(crate) const CAS_MISMATCH: u32 = 8;
    #[cfg(target_arch = "wasm32")]
    pub(crate) const INTERNAL_FAILURE: u32 = 10;

    /// No status of Proxy-Wasm: the SDK itself refuses what would have no effect.
    pub(crate) const GONE_ON: u32 = u32::MAX;

    pub(crate) fn new(call: &'static str, status: u32) -> Self {
        HostError { call, status }
    }

    /// The status of Proxy-Wasm that the host gave: 1 not found, 2 bad argument, 10 internal failure, 12 unimplemented …
    pub fn status(&self) -> u32 {
        self.status
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status == HostError::GONE_ON {
            return write!(f, "{} is of no use: the head has gone on with the body", self.call);
        }
        let meaning = match self.status {
            1 => "not found",
            2 => "bad argument",
            3 => "serialization failure",
            4 => "parse failure",
            6 => "invalid memory access",
            7 => "empty",
            8 => "compare-and-swap mismatch",
            10 => "internal failure",
            12 => "unimplemented",
            _ => "unknown status",
        };
        write!(f, "the host refused {}: {meaning} ({})", self.call, self.status)
    }
}

impl std::error::Error for HostError {}
