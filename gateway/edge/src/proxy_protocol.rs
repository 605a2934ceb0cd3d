//! The PROXY header of a new connection, read before anything else is spoken on it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use portcullis_message::{ProxyHeader, ProxyHeaderError, TrustedProxies, read_proxy_header};
use portcullis_model::ProxyProtocol;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How much is looked at in one go. Most headers are smaller.
const WINDOW: usize = 256;

/// Who is at the other end, as far as the connection has said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduced {
    /// The announced client; the peer itself where none was announced.
    pub(crate) peer: SocketAddr,
    /// The connection's own first bytes, where they had to be read to see that they are no header. Never any of
    /// a TLS handshake: already its first byte is in no header.
    pub(crate) read_ahead: Bytes,
}

/// Why a connection is closed before anything is spoken on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unannounced {
    #[error("a PROXY header is required, and this peer is in no --trusted-cidr")]
    Untrusted,
    #[error("a PROXY header is required, and none came")]
    Missing,
    #[error(transparent)]
    Malformed(#[from] ProxyHeaderError),
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Reads the header, and not a byte after it, so that what follows is served as if there had been none.
///
/// Only networks count for the trust in it (`--trusted-cidr`): `--trusted-hops` says nothing of who the peer is.
pub(crate) async fn introduce(
    stream: &mut TcpStream,
    peer: SocketAddr,
    policy: ProxyProtocol,
    trusted: &TrustedProxies,
) -> Result<Introduced, Unannounced> {
    let alone = |read_ahead| Introduced { peer, read_ahead };
    match policy {
        ProxyProtocol::Off => return Ok(alone(Bytes::new())),
        ProxyProtocol::Accept | ProxyProtocol::Require if trusted.contains(peer.ip()) => {}
        // What it sends is what it is, a header included.
        ProxyProtocol::Accept => return Ok(alone(Bytes::new())),
        ProxyProtocol::Require => return Err(Unannounced::Untrusted),
    }
    match read_header(stream).await? {
        Header::Of(source) => {
            Ok(Introduced { peer: source.unwrap_or(peer), read_ahead: Bytes::new() })
        }
        Header::None(read_ahead) if policy == ProxyProtocol::Accept => Ok(alone(read_ahead)),
        Header::None(_) => Err(Unannounced::Missing),
    }
}

enum Header {
    /// With the client that it announces.
    Of(Option<SocketAddr>),
    /// With what was read to see that.
    None(Bytes),
}

/// Looks at what has come before it takes it: what belongs to no header stays where it is.
async fn read_header(stream: &mut TcpStream) -> Result<Header, Unannounced> {
    let (mut window, mut read) = ([0; WINDOW], BytesMut::new());
    loop {
        let seen = stream.peek(&mut window).await?;
        let taken = read.len();
        if seen == 0 {
            return Ok(Header::None(read.freeze()));
        }
        read.extend_from_slice(window.get(..seen).unwrap_or_default());
        match read_proxy_header(&read)? {
            ProxyHeader::Whole { length, source } => {
                take(stream, &mut window, length.saturating_sub(taken)).await?;
                return Ok(Header::Of(source));
            }
            ProxyHeader::Incomplete => take(stream, &mut window, seen).await?,
            ProxyHeader::Absent => {
                read.truncate(taken);
                return Ok(Header::None(read.freeze()));
            }
        }
    }
}

/// Takes bytes that are there.
async fn take(stream: &mut TcpStream, window: &mut [u8; WINDOW], bytes: usize) -> io::Result<()> {
    stream.read_exact(window.get_mut(..bytes).unwrap_or_default()).await.map(drop)
}

/// Notes a refused connection. The first one is shown to the operator, for it is mostly a matter of settings; the
/// others are not, for anybody can cause them.
pub(crate) fn note_refusal(peer: SocketAddr, why: &Unannounced) {
    static SHOWN: AtomicBool = AtomicBool::new(false);
    // As the access log writes it.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let is_setting = matches!(why, Unannounced::Untrusted | Unannounced::Missing);
    if is_setting && !SHOWN.swap(true, Ordering::Relaxed) {
        tracing::warn!(%peer, error = %why, "connection closed; the next ones are noted at level debug");
    } else {
        tracing::debug!(%peer, error = %why, "connection closed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";

    /// What a server makes of these pieces, each sent when the one before has been taken, and what is left then.
    async fn introduced(
        policy: ProxyProtocol,
        networks: &[&str],
        pieces: &[&[u8]],
    ) -> (Result<Introduced, Unannounced>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        let trusted = TrustedProxies { networks, hops: 1 };
        let send = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(introduce(&mut server, peer, policy, &trusted), send);
        let mut left = Vec::new();
        server.read_to_end(&mut left).await.unwrap();
        (outcome, left)
    }

    #[tokio::test]
    async fn a_header_is_read_to_its_last_byte_and_no_further() {
        let line_and_more = [LINE, b"GET /"].concat();
        let bytewise: Vec<&[u8]> = line_and_more.chunks(1).collect();
        let pieces: [&[&[u8]]; 3] = [&[&line_and_more], &[LINE, b"GET /"], &bytewise];
        for pieces in pieces {
            let (outcome, left) =
                introduced(ProxyProtocol::Require, &["127.0.0.0/8"], pieces).await;
            let peer = "192.0.2.1:4711".parse().unwrap();
            assert_eq!(outcome.unwrap(), Introduced { peer, read_ahead: Bytes::new() });
            assert_eq!(left, b"GET /");
        }
    }

    #[tokio::test]
    async fn a_long_header_is_read_whole() {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x03\xF3".to_vec();
        header.extend([192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
        header.extend(b"\x04\x03\xE4");
        header.extend([0; 0x3E4]);
        header.extend(b"left");
        let (outcome, left) = introduced(ProxyProtocol::Accept, &["127.0.0.0/8"], &[&header]).await;
        assert_eq!(outcome.unwrap().peer, "192.0.2.1:4711".parse().unwrap());
        assert_eq!(left, b"left");
    }

    #[tokio::test]
    async fn what_is_no_header_is_lost_to_nobody() {
        for pieces in [&[&b"GET / HTTP/1.1"[..]][..], &[b"P", b"ROP", b"FIND /"], &[b"PR"], &[]] {
            let sent = pieces.concat();
            let (outcome, left) = introduced(ProxyProtocol::Accept, &["127.0.0.0/8"], pieces).await;
            let read_ahead = outcome.unwrap().read_ahead;
            assert_eq!([&read_ahead[..], &left].concat(), sent);
            let (outcome, _) = introduced(ProxyProtocol::Require, &["127.0.0.0/8"], pieces).await;
            assert!(matches!(outcome, Err(Unannounced::Missing)), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn only_a_trusted_network_is_believed() {
        for networks in [&[][..], &["10.0.0.0/8"]] {
            let (outcome, left) = introduced(ProxyProtocol::Accept, networks, &[LINE]).await;
            let introduced_as = outcome.unwrap();
            assert!(introduced_as.peer.ip().is_loopback() && introduced_as.read_ahead.is_empty());
            assert_eq!(left, LINE);
            let (outcome, _) = introduced(ProxyProtocol::Require, networks, &[LINE]).await;
            assert!(matches!(outcome, Err(Unannounced::Untrusted)), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_header_that_is_broken_is_never_passed_on() {
        let broken = b"PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\n";
        let (outcome, _) = introduced(ProxyProtocol::Accept, &["127.0.0.0/8"], &[broken]).await;
        assert!(matches!(outcome, Err(Unannounced::Malformed(_))), "{outcome:?}");
    }
}
