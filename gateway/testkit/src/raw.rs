//! Odd bytes: a client and an upstream that speak whatever the test writes.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::patience::within;

/// A TCP connection on which the test writes every byte.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(RawConnection(TcpStream::connect(address).await?))
    }

    /// A connection that is there.
    pub fn over(stream: TcpStream) -> Self {
        RawConnection(stream)
    }

    /// The connection itself.
    pub fn into_stream(self) -> TcpStream {
        self.0
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref()).await?;
        self.0.flush().await
    }

    /// Says that nothing more will be sent.
    pub async fn finish_sending(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }

    /// Reads up to the empty line after a head, or to the end of the connection.
    pub async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match within("a head", self.0.read_u8()).await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads exactly this many bytes.
    pub async fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        within("bytes", self.0.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }

    /// Reads until the peer closes; a reset counts as a close.
    pub async fn read_to_close(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _reset = within("the connection's end", self.0.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Sends these bytes and reads all that comes until the server closes.
    pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
        let mut connection = Self::connect(address).await.unwrap();
        connection.send(bytes).await.unwrap();
        String::from_utf8_lossy(&connection.read_to_close().await).into_owned()
    }
}

/// An upstream that answers each request's head with the same bytes, then closes. It lives on the
/// test's own runtime.
#[derive(Debug)]
pub struct RawUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    heads: mpsc::UnboundedReceiver<String>,
    task: AbortHandle,
}

impl RawUpstream {
    /// Starts one.
    pub async fn start(reply: impl Into<Bytes>) -> Self {
        let reply = reply.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, heads) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, seen) = (reply.clone(), seen.clone());
                tokio::spawn(async move {
                    let mut connection = RawConnection(stream);
                    let head = connection.read_head().await;
                    if head.ends_with("\r\n\r\n") {
                        let _test_over = seen.send(head);
                        let _gone = connection.send(reply).await;
                    }
                });
            }
        });
        RawUpstream { address, heads, task: accepting.abort_handle() }
    }

    /// The next request's head, byte for byte.
    pub async fn next_head(&mut self) -> String {
        within("a request", self.heads.recv()).await.unwrap()
    }

    /// Whether every head that came was taken.
    pub fn is_quiet(&self) -> bool {
        self.heads.is_empty()
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
