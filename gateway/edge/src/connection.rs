//! One downstream connection from its acceptance to its end.

use std::borrow::Borrow;
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use portcullis_exchange::{Connection, TlsFacts};
use portcullis_model::{ConnectionPolicy, ListenerProtocol, ProxyProtocol};
use portcullis_proxy::{record_broken_protocol, record_refused_head};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;
use crate::balance::Seat;
use crate::http1::{Arrived, Refusal};
use crate::limits::Limits;
use crate::proxy_protocol::{Introduced, introduce, note_refusal};
use crate::requests::{answer, answer_streams};
use crate::sniff::{Sniffed, sniff};
use crate::socket::Socket;
use crate::tls::{Chosen, handshake};
use crate::watched::{OnRefused, Watched};
use crate::worker::Worker;
use crate::{http1, http2};

/// A connection that this worker is to serve.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) socket: Arc<Socket>,
    pub(crate) seat: Seat,
}

/// Serves a connection in a task of its own: a panic in it ends that task and nothing else.
pub(crate) fn serve(worker: &Rc<Worker>, arrival: Arrival) {
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        let Arrival { stream, peer, socket, seat } = arrival;
        let activity = begin_activity(&worker, &socket, peer);
        let place = worker.connections.enter(activity.clone(), socket.id);
        let visit = Visit { worker, peer, local: local(&stream, &socket), socket, activity };
        let attended = visit.activity.clone();
        {
            // Handed over by reference: by value it would have its place in the task twice.
            let serving = pin!(visit.serve(stream));
            attended.attend(serving).await;
        }
        drop((place, seat));
    });
}

/// The activity of a connection that was just accepted, under its socket's policy.
fn begin_activity(worker: &Worker, socket: &Socket, peer: SocketAddr) -> Rc<Activity> {
    let snapshot = worker.proxy.pin();
    let table = snapshot.socket(socket.key);
    let limits = table.map_or_else(Limits::default, |table| Limits::from(&*table.connections));
    // Ports of clients differ enough to spread what happens to their connections.
    let luck = u32::from(peer.port()).wrapping_mul(0x9e37_79b1) >> 24;
    Activity::new(worker.clock.clone(), limits, luck as u8)
}

/// What is known of a connection before HTTP is spoken on it.
pub(crate) struct Visit {
    pub(crate) worker: Rc<Worker>,
    pub(crate) peer: SocketAddr,
    local: SocketAddr,
    pub(crate) socket: Arc<Socket>,
    pub(crate) activity: Rc<Activity>,
}

impl Visit {
    /// What is spoken is asked of the current snapshot: the protocol of a port may change while its socket
    /// stays open.
    async fn serve(mut self, mut stream: TcpStream) {
        let pinned = self.worker.proxy.pin();
        // Its listener went while it waited to be accepted.
        let Some(table) = pinned.socket(self.socket.key) else { return };
        let (protocol, proxy_protocol) = (table.protocol, table.connections.proxy_protocol);
        let passes_on = table.tcp.is_some();
        drop(pinned);
        let introduced = self.introduction(&mut stream, proxy_protocol).await;
        let Some(Introduced { peer, read_ahead }) = introduced else { return };
        self.peer = peer;
        match protocol {
            // Each of these boxed: a connection has room for one only.
            ListenerProtocol::Http => Box::pin(self.serve_plain(stream, read_ahead)).await,
            ListenerProtocol::Tcp => Box::pin(self.serve_tcp(stream, read_ahead)).await,
            ListenerProtocol::Https | ListenerProtocol::Tls if passes_on => {
                Box::pin(self.serve_by_name(stream, read_ahead)).await;
            }
            // A handshake leaves nothing read ahead; what does is none.
            ListenerProtocol::Https | ListenerProtocol::Tls if read_ahead.is_empty() => {
                Box::pin(self.serve_tls(stream)).await;
            }
            ListenerProtocol::Https | ListenerProtocol::Tls => {}
        }
    }

    /// Who is at the other end; `None` where a PROXY header had to say so and did not.
    async fn introduction(
        &self,
        stream: &mut TcpStream,
        policy: ProxyProtocol,
    ) -> Option<Introduced> {
        if policy == ProxyProtocol::Off {
            return Some(Introduced { peer: self.peer, read_ahead: Bytes::new() });
        }
        // Boxed: most sockets have no use for its window.
        let trusted = &self.worker.proxy.settings.trusted;
        let introduced = Box::pin(introduce(stream, self.peer, policy, trusted)).await;
        introduced.inspect_err(|why| note_refusal(self.peer, why)).ok()
    }

    async fn serve_plain(self, mut stream: TcpStream, read_ahead: Bytes) {
        self.activity.begin_waiting();
        match sniff(&mut stream, &read_ahead).await {
            Ok(Sniffed::Http1(read)) => {
                let reset: fn(&TcpStream) = reset_at_close;
                let arrived = Arrived { io: stream, read_ahead: read, reset, left: has_left };
                Box::pin(self.serve_http1(arrived, None)).await;
            }
            Ok(Sniffed::Http2(read)) => Box::pin(self.serve_http2(stream, read, None)).await,
            Ok(Sniffed::Nothing) => {}
            Err(error) => tracing::debug!(peer = %self.peer, %error, "connection lost"),
        }
    }

    pub(crate) async fn serve_tls<I>(self, stream: I)
    where
        I: AsyncRead + AsyncWrite + Borrow<TcpStream> + Unpin,
    {
        let (stream, facts, chosen) =
            match Box::pin(handshake(&self.worker.proxy, self.socket.key, stream)).await {
                Ok(shaken) => shaken,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "TLS handshake failed");
                    return;
                }
            };
        self.activity.begin_waiting();
        match chosen {
            Chosen::Http1 => {
                let reset: fn(&TlsStream<I>) = |stream| reset_at_close(stream.get_ref().0.borrow());
                let left: fn(&TlsStream<I>) -> bool =
                    |stream| has_left(stream.get_ref().0.borrow());
                let read_ahead = Bytes::new();
                let arrived = Arrived { io: stream, read_ahead, reset, left };
                Box::pin(self.serve_http1(arrived, Some(facts))).await;
            }
            Chosen::Http2 => {
                Box::pin(self.serve_http2(stream, Bytes::new(), Some(facts))).await;
            }
        }
    }

    async fn serve_http1<I>(self, arrived: Arrived<I>, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = self.connection(tls);
        let _record = self.worker.handshaken.enter(&connection, &self.activity);
        let (proxy, bench, activity) =
            (&self.worker.proxy, self.worker.bench.clone(), self.activity.clone());
        let service = |request| answer(proxy.clone(), connection.clone(), request, &self.activity);
        let refused = |refusal: Refusal| {
            record_refused_head(proxy, &connection, refusal.status, refusal.details);
        };
        let outcome = http1::serve(arrived, bench, activity, service, refused).await;
        self.note(outcome);
    }

    async fn serve_http2<I>(self, io: I, read_ahead: Bytes, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = self.connection(tls);
        let _record = self.worker.handshaken.enter(&connection, &self.activity);
        let service =
            answer_streams(self.worker.proxy.clone(), connection.clone(), self.activity.clone());
        let policy = self.policy();
        let refused = self.on_refused(&connection);
        let limits = http2::frame_limits(&policy);
        let io = Watched::new(io, read_ahead, self.activity.clone(), limits, refused);
        if let Err(ended) = http2::serve(io, service, &self.activity, &policy).await {
            if let Some(details) = ended.details {
                record_broken_protocol(&self.worker.proxy, &connection, details);
            }
            self.note(Err(ended.error));
        }
    }

    /// What is asked of the socket's connections.
    fn policy(&self) -> Arc<ConnectionPolicy> {
        let snapshot = self.worker.proxy.pin();
        let table = snapshot.socket(self.socket.key);
        table.map_or_else(Arc::default, |table| table.connections.clone())
    }

    /// Records what the HTTP/2 library refuses before it becomes a request.
    fn on_refused(&self, connection: &Arc<Connection>) -> OnRefused {
        let (proxy, connection) = (self.worker.proxy.clone(), connection.clone());
        Box::new(move |_| record_broken_protocol(&proxy, &connection, "http2.stream_refused"))
    }

    pub(crate) fn connection(&self, tls: Option<TlsFacts>) -> Arc<Connection> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let peer = canonical(self.peer);
        Arc::new(Connection {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            peer,
            peer_value: HeaderValue::from_str(&peer.ip().to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            local: self.local,
            port: self.socket.key.port,
            bind: self.socket.key.bind,
            trust: self.worker.proxy.settings.trusted.trust(peer.ip()),
            tls,
        })
    }

    fn note(&self, outcome: Result<(), impl Display>) {
        if let Err(error) = outcome {
            tracing::debug!(peer = %self.peer, %error, "connection ended early");
        }
    }
}

/// Whether the peer has closed its side, as far as the runtime was told: bytes of it may still be unread.
fn has_left(stream: &TcpStream) -> bool {
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
fn local(stream: &TcpStream, socket: &Socket) -> SocketAddr {
    if socket.address.ip().is_unspecified() {
        canonical(stream.local_addr().unwrap_or(socket.address))
    } else {
        socket.address
    }
}

/// IPv4 as IPv4, also where an IPv6 socket took it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
