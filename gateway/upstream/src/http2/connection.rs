//! One HTTP/2 connection that many requests of a worker share.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use http::uri::Scheme;
use portcullis_exchange::UpstreamTlsFacts;
use portcullis_message::FrameLimits;
use portcullis_model::ConnectionPool;
use tokio::task::spawn_local;

use crate::breakers::Entered;
use crate::endpoint::OpenConnection;
use crate::failure::UpstreamFailure;
use crate::http2::driver::Driver;
use crate::http2::head::MOST_HEADER_LIST;
use crate::http2::life::Life;
use crate::http2::watched::{Passed, Watched};
use crate::pooled::expiry;
use crate::socket::Socket;

/// Streams at a time on one connection where nothing is said; more of them share too much of one fate.
const STREAMS: u32 = 100;
/// What a reply may run ahead of its reader, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
/// Streams whose readers all stand still before the others on the connection do. That many windows it has.
const MOST_STALLED: u32 = 1000;
/// What of a request's body the library holds at most, in bytes.
const SEND_BUFFER: usize = 256 << 10;
/// PING, SETTINGS and the like that an upstream may send, each second.
const CONTROL_FRAMES: u32 = 10;

/// An HTTP/2 connection. It ends when the last that holds it lets go; what is under way ends first.
pub(crate) struct Http2 {
    sender: RefCell<SendRequest<Bytes>>,
    /// What the handshake settled.
    tls: Option<Arc<UpstreamTlsFacts>>,
    local_address: Option<SocketAddr>,
    peer: SocketAddr,
    passed: Rc<Passed>,
    /// Streams under way.
    streams: Cell<u32>,
    most_streams: u32,
    /// Requests that it may still take.
    requests_left: Cell<u32>,
    served: Cell<u32>,
    /// When it takes no further request.
    expires: Option<Instant>,
    /// Whether a request began or ended on it since it was looked at last.
    touched: Cell<bool>,
    life: Rc<Life>,
}

impl Http2 {
    /// Speaks HTTP/2 on a stream, by prior knowledge. A task of its own reads and writes it.
    ///
    /// # Errors
    /// The upstream has left already.
    pub(crate) async fn open(
        socket: Socket,
        settings: &ConnectionPool,
        counted: (OpenConnection, Entered),
    ) -> Result<Rc<Self>, UpstreamFailure> {
        let tls = socket.tls_facts().cloned();
        let (local_address, peer) = (socket.local_address(), socket.peer());
        let passed = Rc::new(Passed::default());
        let limits = FrameLimits { control_frames: CONTROL_FRAMES, header_block: MOST_HEADER_LIST };
        let watched = Watched::new(socket, limits, passed.clone());
        let most_streams = settings.max_concurrent_streams.unwrap_or(STREAMS).max(1);
        let shaking = builder(most_streams).handshake(watched);
        let (sender, connection) =
            shaking.await.map_err(|error| UpstreamFailure::ConnectFailed(error.to_string()))?;
        let life = Rc::new(Life::default());
        let shared = Rc::new(Http2 {
            sender: RefCell::new(sender),
            tls,
            local_address,
            peer,
            passed: passed.clone(),
            streams: Cell::new(0),
            most_streams,
            requests_left: Cell::new(settings.max_requests_per_connection.unwrap_or(u32::MAX)),
            served: Cell::new(0),
            expires: settings.max_connection_duration.map(expiry),
            touched: Cell::new(true),
            life: life.clone(),
        });
        let driver = Driver::new(connection, settings.http2_keepalive, passed, counted);
        spawn_local(driver.run(Rc::downgrade(&life)));
        Ok(shared)
    }

    /// A place for one more request, where it has one.
    pub(crate) fn take_place(self: &Rc<Self>) -> Option<StreamPlace> {
        if self.streams.get() >= self.most_streams() {
            return None;
        }
        self.requests_left.set(self.requests_left.get().checked_sub(1)?);
        self.streams.set(self.streams.get() + 1);
        self.touched.set(true);
        Some(StreamPlace(self.clone()))
    }

    /// How many streams there may be at a time, by our limit and the upstream's.
    pub(crate) fn most_streams(&self) -> u32 {
        let peers = self.sender.borrow().current_max_send_streams();
        self.most_streams.min(u32::try_from(peers).unwrap_or(u32::MAX))
    }

    /// Whether it will take requests, now or when others have ended. It does not where the upstream has said GOAWAY or
    /// left, and where it is too old or has served enough.
    pub(crate) fn is_usable(&self) -> bool {
        let over = self.expires.is_some_and(|expires| expires <= Instant::now());
        if over || self.requests_left.get() == 0 || self.life.is_over() {
            return false;
        }
        let mut cx = Context::from_waker(Waker::noop());
        // This handle never has a stream to wait for, so it only looks.
        !matches!(self.sender.borrow_mut().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Whether it has served a request before.
    pub(crate) fn is_used(&self) -> bool {
        self.served.get() > 0
    }

    /// Whether nothing is under way on it, nor was since this was asked last.
    pub(crate) fn was_idle(&self) -> bool {
        self.is_unused() && !self.touched.replace(false)
    }

    /// Whether nothing is under way on it.
    pub(crate) fn is_unused(&self) -> bool {
        self.streams.get() == 0
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    /// Where it was connected to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    pub(crate) fn tls_facts(&self) -> Option<&Arc<UpstreamTlsFacts>> {
        self.tls.as_ref()
    }

    /// Bytes that went out so far.
    pub(crate) fn written(&self) -> u64 {
        self.passed.written.get()
    }

    /// Opens a stream.
    pub(crate) fn send_head(
        &self,
        head: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.served.set(self.served.get().saturating_add(1));
        // A handle of its own: each remembers the stream that it waits for.
        let mut sender = self.sender.borrow().clone();
        sender.send_request(head, ends)
    }

    /// Why a stream failed, where the connection knows more than the stream.
    pub(crate) fn explain(&self, cause: UpstreamFailure) -> UpstreamFailure {
        self.life.explain(cause)
    }
}

/// One request's place on a connection, which it holds open.
pub(crate) struct StreamPlace(Rc<Http2>);

impl StreamPlace {
    pub(crate) fn connection(&self) -> &Http2 {
        &self.0
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.touched.set(true);
    }
}

fn builder(most_streams: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * most_streams.clamp(STREAMS, MOST_STALLED))
        .max_header_list_size(MOST_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}
