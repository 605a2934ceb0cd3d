//! What can go wrong with a body on its way.

use crate::http1::FramingError;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer's HTTP/2 connection failed or its framing was wrong.
    #[error("the body broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// Its HTTP/1 framing was wrong, or it ended too early.
    #[error("the body broke off: {0}")]
    Framing(#[from] FramingError),
    /// The peer's connection failed.
    #[error("the body broke off: {0}")]
    Io(#[from] std::io::Error),
    /// Who sent it is gone.
    #[error("the body broke off: its sender is gone")]
    Disconnected,
    /// It was not complete in time.
    #[error("the body was not complete in time")]
    TimedOut,
    /// It is larger than allowed.
    #[error("the body is too large")]
    TooLarge,
}
