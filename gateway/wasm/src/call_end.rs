//! How a host call ends.

use crate::abi::Status;

/// How a host call ends other than well.
pub(crate) enum CallError {
    /// The guest gets a status, and the reason goes to the log. Where SDKs panic on any refusal the status is `Ok`.
    Refused(Status, &'static str),
    /// Not an error: the guest gets this status.
    Answer(Status),
    /// The plugin may not make this call, and no status says so: the callback ends; the reason goes to the log.
    Ended(&'static str),
    /// The guest's allocator failed within the call: the callback ends.
    Trap(wasmtime::Error),
}

/// How a host call ends; `Ok` is the status 0.
pub(crate) type CallResult = Result<(), CallError>;

/// `BadArgument` and why.
pub(crate) fn bad_argument(reason: &'static str) -> CallError {
    CallError::Refused(Status::BadArgument, reason)
}

/// `InvalidMemoryAccess`.
pub(crate) fn outside_memory() -> CallError {
    CallError::Refused(Status::InvalidMemoryAccess, "a pointer or length lies outside its memory")
}
