//! HTTP/2 to the upstream: connections that the requests of a worker share, each with a task that reads and writes it.

mod body;
mod connection;
mod driver;
mod exchange;
mod head;
mod life;
mod reason;
mod upload;
mod watched;

pub(crate) use body::ReplyBody;
pub(crate) use connection::{Http2, StreamPlace};
pub(crate) use exchange::{Exchange, begin};
