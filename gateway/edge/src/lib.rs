//! The edge: worker threads, listening sockets, TLS, HTTP/1 and HTTP/2 downstream, drain. Its main type is
//! [`Workers`].
//!
//! What it is *not*: it knows no routes, plugins or upstreams; each request goes to
//! [`portcullis_proxy::handle_request`] as it came. Connections are never bound to a snapshot.
//!
//! What stands where, lowest first:
//! - time and limits: `clock`, `limits`, `activity` (what a connection is doing, its deadlines);
//! - the worker's lists: `socket`, `balance`, `connections`, `handshaken`, `mailbox`;
//! - what comes before HTTP: `proxy_protocol`, `sniff`, `replayed`, `tls`, `tcp_stream`;
//! - HTTP: `http1`, `http2` with `watched` (the frame guard) and `paced_body`, `tunnel`, `panics`, `requests`;
//! - one worker thread: `worker`, `connection` with `http_connection` and `passthrough`, `accept`, `thread`;
//! - the control side: `settings`, `problems`, `handed`, `open_sockets`, `workers`.

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
mod http_connection;
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
mod tcp_stream;
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
