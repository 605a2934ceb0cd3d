//! Telling HTTP/2 by prior knowledge from HTTP/1 by the first bytes of a plain connection.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Enough for a usual request head, so that it needs no second read.
const READ_AHEAD: usize = 2048;

/// What a connection turned out to speak, with the bytes read while finding out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sniffed {
    Http1(Bytes),
    Http2(Bytes),
    /// The client left without a word.
    Nothing,
}

/// Reads until it is clear what is spoken. No byte is lost: what was read is in the answer, what was read before
/// (`already`) first.
pub(crate) async fn sniff(
    io: &mut (impl AsyncRead + Unpin),
    already: &[u8],
) -> io::Result<Sniffed> {
    let mut read = BytesMut::with_capacity(READ_AHEAD);
    read.extend_from_slice(already);
    loop {
        let ended = compare(&read) == Likeness::Undecided && io.read_buf(&mut read).await? == 0;
        match (compare(&read), ended) {
            (Likeness::Preface, _) => return Ok(Sniffed::Http2(read.freeze())),
            (Likeness::Other, _) => return Ok(Sniffed::Http1(read.freeze())),
            (Likeness::Undecided, true) if read.is_empty() => return Ok(Sniffed::Nothing),
            (Likeness::Undecided, true) => return Ok(Sniffed::Http1(read.freeze())),
            (Likeness::Undecided, false) => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    Preface,
    Undecided,
    Other,
}

fn compare(read: &[u8]) -> Likeness {
    if read.starts_with(PREFACE) {
        Likeness::Preface
    } else if PREFACE.starts_with(read) {
        Likeness::Undecided
    } else {
        Likeness::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// Sends the pieces one read apart.
    async fn sniff_pieces(pieces: &[&[u8]]) -> Sniffed {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let send = async move {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(sniff(&mut server, b""), send).0.unwrap()
    }

    #[tokio::test]
    async fn http1_is_known_by_its_first_byte() {
        assert_eq!(sniff_pieces(&[b"G"]).await, Sniffed::Http1(Bytes::from_static(b"G")));
    }

    #[tokio::test]
    async fn the_preface_may_come_in_any_pieces() {
        let mut sent = PREFACE.to_vec();
        sent.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0");
        let pieces: Vec<&[u8]> = sent.chunks(1).collect();
        let Sniffed::Http2(read) = sniff_pieces(&pieces).await else { panic!("not HTTP/2") };
        assert_eq!(&read[..], PREFACE);
        assert_eq!(sniff_pieces(&[&sent]).await, Sniffed::Http2(sent.into()));
    }

    #[tokio::test]
    async fn a_method_that_begins_like_the_preface_is_http1() {
        let read = sniff_pieces(&[b"PR", b"OPFIND / HTTP/1.1\r\n"]).await;
        assert_eq!(read, Sniffed::Http1(Bytes::from_static(b"PROPFIND / HTTP/1.1\r\n")));
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let read = sniff(&mut server, b"PRO").await.unwrap();
        assert_eq!(read, Sniffed::Http1(Bytes::from_static(b"PRO")));
        client.write_all(&PREFACE[2..]).await.unwrap();
        let read = sniff(&mut server, b"PR").await.unwrap();
        assert_eq!(read, Sniffed::Http2(Bytes::from_static(PREFACE)));
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_nobody() {
        assert_eq!(sniff_pieces(&[]).await, Sniffed::Nothing);
        assert_eq!(sniff_pieces(&[b"PRI"]).await, Sniffed::Http1(Bytes::from_static(b"PRI")));
    }
}
