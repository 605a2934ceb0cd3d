//! What ends a callback before its time: a failure, or a reply on the way out.

use std::fmt;

use crate::Reply;

/// Ends a callback; `?` makes one from any standard error, and from a [`Reply`].
///
/// A failure is logged and traps, so that the plugin object's `failStrategy` answers the request. A reply is given to the
/// client, as [`Flow::Reply`](crate::Flow::Reply) is.
///
/// ```
/// use portcullis_sdk::{Error, Reply};
///
/// fn amount(text: Option<&str>) -> Result<u32, Error> {
///     let text = text.ok_or(Reply::new(400))?;
///     Ok(text.parse()?)
/// }
/// assert!(amount(Some("7")).is_ok());
/// assert_eq!(amount(Some("many")).unwrap_err().to_string(), "invalid digit found in string");
/// assert_eq!(amount(None).unwrap_err().to_string(), "a reply with status 400");
/// ```
pub struct Error {
    kind: Kind,
}

enum Kind {
    Failure(String),
    Reply(Reply),
}

impl Error {
    /// A failure with a message for the plugin's log.
    pub fn new(message: impl Into<String>) -> Self {
        Error { kind: Kind::Failure(message.into()) }
    }

    /// The reply, if it is one; else the failure.
    pub(crate) fn into_reply(self) -> Result<Reply, Error> {
        match self.kind {
            Kind::Reply(reply) => Ok(reply),
            Kind::Failure(_) => Err(self),
        }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Error::new(error.to_string())
    }
}

impl From<Reply> for Error {
    fn from(reply: Reply) -> Self {
        Error { kind: Kind::Reply(reply) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Failure(message) => f.write_str(message),
            Kind::Reply(reply) => write!(f, "a reply with status {}", reply.status()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
