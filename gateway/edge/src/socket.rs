//! One listening socket: where it is bound and how it is opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_snapshot::SocketKey;
use socket2::{Domain, Protocol, Socket as RawSocket, TcpKeepalive, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// A listening socket as every worker knows it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    /// What the resources call it.
    pub(crate) key: SocketKey,
    /// Where it is really bound.
    pub(crate) address: SocketAddr,
    /// How many connections came in on it and are open.
    pub(crate) connections: Arc<AtomicUsize>,
}

/// A listening socket's number, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SocketId(u64);

impl SocketId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        SocketId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) fn for_test(id: u64) -> Self {
        SocketId(id)
    }
}

/// Where to bind a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindTo {
    /// IPv6 and IPv4 alike, IPv4 alone where the system has no IPv6.
    Everywhere(u16),
    /// One address; `[::]` takes IPv4 too.
    Address(SocketAddr),
    /// An IPv6 address that leaves IPv4 alone.
    V6Only(SocketAddr),
}

impl BindTo {
    /// For an address out of those that one port is bound to.
    pub(crate) fn among(address: IpAddr, port: u16, all: &[IpAddr]) -> Self {
        let address = SocketAddr::new(address, port);
        if address.is_ipv6() && all.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
            BindTo::V6Only(address)
        } else {
            BindTo::Address(address)
        }
    }

    /// The address as people write it.
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            BindTo::Everywhere(port) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
            BindTo::Address(address) | BindTo::V6Only(address) => address,
        }
    }
}

/// Opens a listening socket, never one of a SO_REUSEPORT group: closing one of those would reset the
/// connections that wait on it.
pub(crate) fn listen(to: BindTo) -> io::Result<TcpListener> {
    match to {
        BindTo::Everywhere(port) => listen_at(to.address(), Stack::Dual).or_else(|error| {
            if is_taken(&error) {
                return Err(error);
            }
            listen_at(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), Stack::Dual)
        }),
        BindTo::Address(address) => listen_at(address, Stack::Dual),
        BindTo::V6Only(address) => listen_at(address, Stack::V6Only),
    }
}

/// Whether IPv4 clients reach an IPv6 socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stack {
    Dual,
    V6Only,
}

fn listen_at(address: SocketAddr, stack: Stack) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(stack == Stack::V6Only)?;
    }
    // A restart must not wait for the old process's connections to time out.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit these, which saves a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Finds out within two minutes that a peer vanished without a word.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4)
}

/// Errors that IPv4 would not mend.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn loopback(port: u16) -> BindTo {
        BindTo::Address(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
    }

    #[test]
    fn accepted_connections_inherit_what_was_set_once() {
        let listener = listen(loopback(0)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(socket2::SockRef::from(&accepted).keepalive().unwrap());
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = listen(loopback(0)).unwrap();
        let second = listen(loopback(first.local_addr().unwrap().port()));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_may_be_taken_again_at_once() {
        let first = listen(loopback(0)).unwrap();
        let port = first.local_addr().unwrap().port();
        drop(first);
        assert!(listen(loopback(port)).is_ok());
    }

    #[test]
    fn ipv6_leaves_ipv4_to_a_socket_of_its_own() {
        let all = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        let [v6, v4] = all;
        assert!(matches!(BindTo::among(v6, 80, &all), BindTo::V6Only(_)));
        assert!(matches!(BindTo::among(v4, 80, &all), BindTo::Address(_)));
        assert!(matches!(BindTo::among(v6, 80, &[v6]), BindTo::Address(_)));
    }
}
