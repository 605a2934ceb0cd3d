//! How long a connection may be silent.

use crate::clock::Stage;

/// Deadlines of a downstream connection, in whole seconds. One is never enforced early, and at most two
/// seconds late: a worker looks once a second instead of arming a timer for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The TLS handshake; then the same again for the first byte.
    pub greeting: u32,
    /// A request head, from its first byte to its last (HTTP/1).
    pub head: u32,
    /// Between two requests. Above the 60 s after which an ALB lets go itself, else it would send requests
    /// into connections that we are just closing.
    pub idle: u32,
    /// From being asked to go to being cut, for a connection that serves nothing.
    pub farewell: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { greeting: 10, head: 10, idle: 75, farewell: 10 }
    }
}

impl Limits {
    /// For the first byte. Once nothing new is accepted, a connection opened in advance must not hold up
    /// the exit.
    pub(crate) fn greeting(&self, stage: Stage) -> u32 {
        if stage == Stage::Closing { self.greeting.min(1) } else { self.greeting }
    }
}
