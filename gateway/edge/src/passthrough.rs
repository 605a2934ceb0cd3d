//! Connections whose bytes are passed on: as they come, or from inside the TLS that ends here.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use portcullis_exchange::TlsFacts;
use portcullis_message::{FirstBytes, MOST_HELLO, read_client_hello};
use portcullis_proxy::{TcpClient, forward_connection, record_no_hello};
use portcullis_snapshot::Handling;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::Visit;
use crate::replayed::Replayed;
use crate::tcp_stream::reset_at_close;
use crate::tls::{Shaken, handshake_for_bytes};

/// A fatal alert, `unrecognized_name` (RFC 6066 section 3), in a record of its own.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// Enough for a usual ClientHello, so that it needs no second read.
const READ_AHEAD: usize = 2048;

impl Visit {
    /// A socket on which TLS is passed on, perhaps beside others on which it ends: the server name decides.
    pub(crate) async fn serve_by_name(self, mut stream: TcpStream, read_ahead: Bytes) {
        let (server_name, read_ahead) = match read_hello(&mut stream, read_ahead).await {
            Ok(Hello::Whole { server_name, read_ahead }) => (server_name, read_ahead),
            Ok(Hello::NotTls) => {
                record_no_hello(&self.worker.proxy, self.connection(None));
                return reset_at_close(&stream);
            }
            Ok(Hello::Nothing) => return,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "connection lost");
                return;
            }
        };
        match self.handling(server_name.as_deref()) {
            Handling::Http => self.serve_tls(Replayed::new(stream, read_ahead)).await,
            Handling::EndTls => self.end_tls(Replayed::new(stream, read_ahead)).await,
            Handling::PassOn => {
                let client = TcpClient {
                    io: stream,
                    read_ahead,
                    server_name,
                    farewell: UNRECOGNIZED_NAME,
                    reset: reset_at_close,
                };
                self.pass_on(client, None).await;
            }
        }
    }

    /// A socket on which bytes are passed on, whatever they are.
    pub(crate) async fn serve_tcp(self, stream: TcpStream, read_ahead: Bytes) {
        let (server_name, farewell, reset) = (None, &b""[..], reset_at_close as fn(&TcpStream));
        let client = TcpClient { io: stream, read_ahead, server_name, farewell, reset };
        self.pass_on(client, None).await;
    }

    async fn end_tls(self, stream: Replayed<TcpStream>) {
        let shaken = handshake_for_bytes(&self.worker.proxy, self.socket.key, stream).await;
        match shaken {
            Ok(Shaken { stream: io, facts, chosen: _ }) => {
                // A TLS stream that ends without saying so has failed, and its peer sees that.
                let client = TcpClient {
                    io,
                    read_ahead: Bytes::new(),
                    server_name: None,
                    farewell: b"",
                    reset: |_| {},
                };
                self.pass_on(client, Some(facts)).await;
            }
            Err(error) => tracing::debug!(peer = %self.peer, %error, "TLS handshake failed"),
        }
    }

    async fn pass_on<I>(self, client: TcpClient<I>, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        self.activity.begin_passing_on();
        let connection = self.connection(tls);
        let _record = self.worker.handshaken.enter(&connection, &self.activity);
        forward_connection(self.worker.proxy.clone(), connection, client).await;
    }

    /// A name that nobody takes is passed on, which fails with the alert that it deserves.
    fn handling(&self, server_name: Option<&str>) -> Handling {
        let snapshot = self.worker.proxy.pin();
        let tcp = snapshot.socket(self.socket.key).and_then(|table| table.tcp.as_ref());
        let route = tcp.and_then(|tcp| tcp.find(server_name));
        route.map_or(Handling::PassOn, |route| route.handling)
    }
}

/// What a connection began with.
#[derive(Debug, PartialEq, Eq)]
enum Hello {
    /// A ClientHello; every byte that was read.
    Whole { server_name: Option<Arc<str>>, read_ahead: Bytes },
    /// Something else, or a ClientHello that is broken, too long or breaks off.
    NotTls,
    /// The client left without a word.
    Nothing,
}

async fn read_hello(io: &mut (impl AsyncRead + Unpin), read_ahead: Bytes) -> io::Result<Hello> {
    let mut read = BytesMut::with_capacity(READ_AHEAD);
    read.extend_from_slice(&read_ahead);
    loop {
        match read_client_hello(&read) {
            FirstBytes::Hello(hello) => {
                let server_name = hello.server_name.map(Into::into);
                return Ok(Hello::Whole { server_name, read_ahead: read.freeze() });
            }
            FirstBytes::NotTls => return Ok(Hello::NotTls),
            FirstBytes::NeedMore => {}
        }
        read.reserve(READ_AHEAD.min(MOST_HELLO.saturating_sub(read.len()).max(1)));
        if io.read_buf(&mut read).await? == 0 {
            return Ok(if read.is_empty() { Hello::Nothing } else { Hello::NotTls });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// Sends the bytes one read apart, and says that these were all.
    async fn read_pieces(pieces: &[&[u8]]) -> Hello {
        let (mut client, mut server) = tokio::io::duplex(64 * 1024);
        let send = async move {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(read_hello(&mut server, Bytes::new()), send).0.unwrap()
    }

    #[tokio::test]
    async fn what_is_no_hello_ends_the_reading_at_once() {
        assert_eq!(read_pieces(&[]).await, Hello::Nothing);
        assert_eq!(read_pieces(&[b"\x16\x03"]).await, Hello::NotTls, "it breaks off");
        assert_eq!(read_pieces(&[b"GET / HTTP/1.1\r\n\r\n"]).await, Hello::NotTls);
        let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc][..], &[0; 40_000]].concat();
        assert_eq!(read_pieces(&[&endless]).await, Hello::NotTls);
    }
}
