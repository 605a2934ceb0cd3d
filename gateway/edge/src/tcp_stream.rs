//! What is asked of the TCP stream of a connection, and done to it, whatever is spoken on it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::socket::Socket;

/// Whether the peer has closed its side, as far as the runtime was told: bytes of it may still be unread.
pub(crate) fn has_left(stream: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let ready = pin!(stream.ready(Interest::READABLE)).poll(&mut cx);
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

/// Has the end of a stream tell its peer that something failed.
pub(crate) fn reset_at_close(stream: &TcpStream) {
    // Where that fails, the stream is broken already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Our own address; the system is asked only where the socket has many.
pub(crate) fn local(stream: &TcpStream, socket: &Socket) -> SocketAddr {
    if socket.address.ip().is_unspecified() {
        canonical(stream.local_addr().unwrap_or(socket.address))
    } else {
        socket.address
    }
}

/// IPv4 as IPv4, also where an IPv6 socket took it.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
