//! What goes wrong in a callback, and what the host refuses.

use std::fmt;

/// An error that ends a callback; the host's failure policy answers the request.
///
/// Made by `?` from any standard error, or by [`Error::new`].
pub struct Error {
    message: String,
}

impl Error {
    /// An error with a message for the plugin's log.
    pub fn new(message: impl Into<String>) -> Self {
        Error { message: message.into() }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Error::new(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

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
    #[cfg(target_arch = "wasm32")]
    pub(crate) const CAS_MISMATCH: u32 = 8;
    #[cfg(target_arch = "wasm32")]
    pub(crate) const INTERNAL_FAILURE: u32 = 10;

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
