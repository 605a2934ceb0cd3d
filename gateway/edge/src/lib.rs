//! The edge: worker threads, listening sockets, TLS, HTTP/1 and HTTP/2 downstream, drain. Its main type is
//! [`Workers`].
//!
//! What it is *not*: it knows no routes, plugins or upstreams; each request goes to
//! [`portcullis_proxy::handle_request`] as it came. Connections are never bound to a snapshot.
//!
//! The floors in this room, lowest first: `clock`, `limits`, `activity` (what a connection is doing),
//! `socket`, `handed`, `balance`, `connections`, `mailbox`; `sniff`, `replayed`, `tunnel`, `watched`, `tls`, `handshaken`, `http1`, `http2`, `requests`
//! (the protocols); `worker`, `connection`, `passthrough` (bytes passed on), `accept`, `thread` (one worker thread); `settings`, `problems`,
//! `open_sockets`, `workers` (the control side).

mod accept;
mod activity;
mod balance;
mod clock;
mod connection;
mod connections;
mod handed;
mod handshaken;
mod http1;
mod http2;
mod limits;
mod mailbox;
mod open_sockets;
mod paced_body;
mod panics;
mod passthrough;
mod problems;
mod proxy_protocol;
mod replayed;
mod requests;
mod settings;
mod sniff;
mod socket;
#[cfg(test)]
mod test_gateway;
#[cfg(test)]
mod tests;
mod thread;
mod tls;
mod tunnel;
mod watched;
mod worker;
mod workers;

pub use handed::HandedSocket;
pub use open_sockets::BoundListener;
pub use settings::Settings;
pub use workers::{Idle, Workers};
