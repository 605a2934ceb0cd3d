//! One handshake with one request over it, and what the two came to.

use std::io;
use std::net::SocketAddr;

use rustls::{HandshakeKind, ProtocolVersion, SupportedCipherSuite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::patience::within;
use crate::tls::Tls;

/// A handshake that succeeded, and the reply to a GET over it.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Whether a session was resumed by a ticket.
    pub resumed: bool,
    /// The version agreed upon.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite agreed upon.
    pub suite: Option<SupportedCipherSuite>,
    /// The server's certificate in DER; of the first handshake where it was resumed.
    pub certificate: Vec<u8>,
    /// The OCSP response that came with it.
    pub staple: Vec<u8>,
    /// The reply's status.
    pub status: u16,
    /// The reply's head, from the status line on.
    pub head: String,
    /// The reply's body.
    pub body: String,
}

impl Handshake {
    /// Connects, shakes hands, asks for `/` on a host, and reads until the server closes.
    ///
    /// # Errors
    /// The server refused the handshake, in TLS 1.3 perhaps only when it was asked.
    pub async fn make(address: SocketAddr, tls: &Tls, host: &str) -> io::Result<Self> {
        Handshake::with_fields(address, tls, host, "").await
    }

    /// The same with further header fields, each ended by CRLF.
    ///
    /// # Errors
    /// As [`Handshake::make`].
    pub async fn with_fields(
        address: SocketAddr,
        tls: &Tls,
        host: &str,
        fields: &str,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (mut stream, staple) = tls.connect_watching(stream).await?;
        let request =
            format!("GET / HTTP/1.1\r\nhost: {host}\r\n{fields}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        within("the reply and its end", stream.read_to_end(&mut reply)).await?;
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let session = stream.get_ref().1;
        Ok(Handshake {
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            version: session.protocol_version(),
            suite: session.negotiated_cipher_suite(),
            certificate: session.peer_certificates().map_or_else(Vec::new, |c| c[0].to_vec()),
            staple,
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// A header field that an echoing upstream got.
    pub fn seen_by_upstream(&self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["headers"][name].as_str().map(str::to_owned)
    }
}
