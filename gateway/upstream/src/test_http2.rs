//! An HTTP/2 upstream whose every frame a test writes.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use portcullis_model as model;
use portcullis_model::{ConnectionPool, UpstreamProtocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Cluster, ConnectError, Endpoint, Lease, Pools, RequestBody, SendError, Spoken, UpstreamBody,
};

/// Types of frames and flags, by their names in RFC 9113.
pub(crate) mod frame {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;

    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends(&self) -> bool {
        self.flags & frame::END_STREAM != 0
    }
}

/// An upstream that listens.
pub(crate) struct Http2Upstream {
    listener: TcpListener,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) endpoint: Arc<Endpoint>,
}

impl Http2Upstream {
    pub(crate) async fn start() -> Self {
        Self::start_with(ConnectionPool::default()).await
    }

    pub(crate) async fn start_with(pool: ConnectionPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let settings = model::Cluster {
            protocol: UpstreamProtocol::Http2,
            pool,
            ..model::Cluster::for_test(&[(address, 1)])
        };
        let cluster = Cluster::new(&Arc::new(settings), None);
        let endpoint = cluster.endpoints().remove(0);
        Http2Upstream { listener, cluster, endpoint }
    }

    /// Its side of the next connection, after the preface, with an empty SETTINGS sent and the client's accepted.
    pub(crate) async fn accept(&self) -> Http2Played {
        let mut played = Http2Played::on(self.listener.accept().await.unwrap().0);
        played.preface().await;
        played.send(frame::SETTINGS, 0, 0, &[]).await;
        played.send(frame::SETTINGS, frame::ACK, 0, &[]).await;
        played
    }

    /// The same before a byte is read.
    pub(crate) async fn accept_bare(&self) -> Http2Played {
        Http2Played::on(self.listener.accept().await.unwrap().0)
    }

    pub(crate) async fn checkout(&self, pools: &Pools) -> Result<Lease, ConnectError> {
        pools.checkout(&self.cluster, &self.endpoint, Spoken::Http2).await
    }

    pub(crate) async fn send(
        &self,
        pools: &Pools,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        self.checkout(pools).await.unwrap().send(request).await
    }
}

/// The upstream's side of one connection.
pub(crate) struct Http2Played(pub(crate) TcpStream);

impl Http2Played {
    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Http2Played(stream)
    }

    pub(crate) async fn preface(&mut self) {
        let mut preface = [0; 24];
        self.0.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }

    /// The next frame; `None` when the client has closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of a type; the others are skipped.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the client closed");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next request's head; its stream.
    pub(crate) async fn request(&mut self) -> u32 {
        self.next_of(frame::HEADERS).await.stream
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write_all(&encode(kind, flags, stream, payload)).await.unwrap();
    }

    /// A head of these fields, with END_STREAM where `flags` say so.
    pub(crate) async fn head(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        self.send(frame::HEADERS, flags | frame::END_HEADERS, stream, &block(fields)).await;
    }

    /// A whole reply.
    pub(crate) async fn reply(&mut self, stream: u32, body: &[u8]) {
        self.head(stream, &[(":status", "200")], 0).await;
        self.send(frame::DATA, frame::END_STREAM, stream, body).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.send(frame::RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn goaway(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(frame::GOAWAY, 0, 0, &payload).await;
    }

    /// Whether the client ends the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        while self.next().await.is_some() {}
        true
    }
}

/// A frame's bytes.
pub(crate) fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block without table or Huffman code.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend_from_slice(&[0, u8::try_from(name.len()).unwrap()]);
        block.extend_from_slice(name.as_bytes());
        block.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).unwrap());
        block.extend_from_slice(value.as_bytes());
    }
    block
}
