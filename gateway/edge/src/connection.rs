//! One downstream connection from its acceptance to its end.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use portcullis_exchange::{Connection, TlsFacts};
use portcullis_model::{ListenerProtocol, ProxyProtocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;
use crate::balance::Seat;
use crate::http1::Arrived;
use crate::limits::Limits;
use crate::proxy_protocol::{Introduced, introduce, note_refusal};
use crate::sniff::{Sniffed, sniff};
use crate::socket::Socket;
use crate::tcp_stream::{canonical, has_left, local, reset_at_close};
use crate::tls::{Chosen, Shaken, handshake};
use crate::worker::Worker;

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
        let Shaken { stream, facts, chosen } =
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
}
