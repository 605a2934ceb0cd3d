//! Who a connection is for, and what will be spoken on it.

use std::net::SocketAddr;

/// Who a connection is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'c> {
    /// The request's authority, with or without a port; `None` where there is no request.
    pub authority: Option<&'c str>,
    /// The client's address and ours on its connection; `None` where there is no client.
    pub connection: Option<(SocketAddr, SocketAddr)>,
}

/// What will be spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whatever the client says.
    Bytes,
}
