//! The status that every host call returns.

/// Proxy-Wasm's status numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Status {
    /// Done.
    Ok = 0,
    /// No such key, context or metric.
    NotFound = 1,
    /// An argument makes no sense, or not here.
    BadArgument = 2,
    /// Something cannot be encoded or decoded.
    SerializationFailure = 3,
    /// An argument cannot be decoded.
    ParseFailure = 4,
    /// A pointer or length lies outside the guest's memory.
    InvalidMemoryAccess = 6,
    /// The queue has nothing.
    Empty = 7,
    /// The value was not stored: it had been changed in between.
    CasMismatch = 8,
    /// The host cannot, or will not here.
    InternalFailure = 10,
}
