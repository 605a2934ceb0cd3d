//! HTTP/2 as the test writes it, frame by frame (RFC 9113 section 4): a client and an upstream.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::patience::within;
use crate::raw::RawConnection;
use crate::raw_http2::literal;

/// Types of frames, flags and error codes, by their names in RFC 9113.
#[allow(missing_docs, reason = "the names are the RFC's")]
pub mod frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;

    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;

    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What follows its head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A number in its payload: the error code of RST_STREAM at 0, of GOAWAY at 4.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], self.kind, self.flags];
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// An upstream that speaks HTTP/2 as the test writes it, frame by frame.
#[derive(Debug)]
pub struct FrameUpstream {
    listener: TcpListener,
}

impl FrameUpstream {
    /// Listens on a free port.
    pub async fn start() -> Self {
        FrameUpstream { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Its side of the next connection, after the preface; an empty SETTINGS is sent, and the client's accepted.
    pub async fn accept(&self) -> FrameConnection {
        let (stream, _) = within("a connection", self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = RawConnection::over(stream);
        let preface = raw.read_exactly(24).await.unwrap();
        assert_eq!(preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut connection = FrameConnection { raw };
        connection.send(frame::SETTINGS, 0, 0, &[]).await.unwrap();
        connection.send(frame::SETTINGS, frame::ACK, 0, &[]).await.unwrap();
        connection
    }
}

/// A connection by prior knowledge, after the preface.
#[derive(Debug)]
pub struct FrameConnection {
    raw: RawConnection,
}

impl FrameConnection {
    /// Connects and sends the preface with an empty SETTINGS. What the server sends is left to the test.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let mut raw = RawConnection::connect(address).await?;
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let mut connection = FrameConnection { raw };
        connection.send(frame::SETTINGS, 0, 0, &[]).await?;
        Ok(connection)
    }

    /// Sends a frame.
    pub async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        let frame = Frame { kind, flags, stream, payload: payload.to_vec() };
        self.raw.send(frame.encode()).await
    }

    /// Sends bytes that are no frame.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.send(bytes).await
    }

    /// Sends a request's head; with `frame::END_STREAM` it is the whole request.
    pub async fn request(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        end: u8,
    ) -> io::Result<()> {
        let block = header_block(fields);
        self.send(frame::HEADERS, frame::END_HEADERS | end, stream, &block).await
    }

    /// Sends a reply's head; with `frame::END_STREAM` it is the whole reply.
    pub async fn reply(&mut self, stream: u32, fields: &[(&str, &str)], end: u8) -> io::Result<()> {
        self.request(stream, fields, end).await
    }

    /// The stream of the next request.
    pub async fn next_request(&mut self) -> u32 {
        let head = self.next_where(|frame| frame.kind == frame::HEADERS).await;
        head.expect("a request").stream
    }

    /// The next frame; `None` when the peer has closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = self.raw.read_exactly(9).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & (u32::MAX >> 1);
        let payload = self.raw.read_exactly(length).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that fulfils a condition; `None` when the server closes before.
    pub async fn next_where(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }
}

/// A header block without table or Huffman code, pseudo-headers among its fields in this order.
pub fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}
