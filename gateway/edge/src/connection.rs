//! One downstream connection from its acceptance to its end.

use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use portcullis_exchange::{Connection, TlsFacts};
use portcullis_model::ListenerProtocol;
use portcullis_proxy::record_refused_head;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::activity::Activity;
use crate::balance::Seat;
use crate::http1::{Arrived, Refusal};
use crate::requests::{answer, answer_streams};
use crate::sniff::{Sniffed, sniff};
use crate::socket::Socket;
use crate::tls::{Chosen, handshake};
use crate::watched::Watched;
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
        let activity = Activity::new(worker.clock.clone());
        let place = worker.connections.enter(activity.clone(), socket.id);
        let visit = Visit { worker, peer, local: local(&stream, &socket), socket, activity };
        visit.activity.clone().attend(visit.serve(stream)).await;
        drop((place, seat));
    });
}

/// What is known of a connection before HTTP is spoken on it.
struct Visit {
    worker: Rc<Worker>,
    peer: SocketAddr,
    local: SocketAddr,
    socket: Arc<Socket>,
    activity: Rc<Activity>,
}

impl Visit {
    /// What is spoken is asked of the current snapshot: the protocol of a port may change while its socket
    /// stays open.
    async fn serve(self, stream: TcpStream) {
        let protocol = self.worker.proxy.pin().socket(self.socket.key).map(|table| table.protocol);
        match protocol {
            Some(ListenerProtocol::Http) => self.serve_plain(stream).await,
            Some(ListenerProtocol::Https) => self.serve_tls(stream).await,
            // Its listener went while it waited to be accepted.
            None => {}
        }
    }

    async fn serve_plain(self, mut stream: TcpStream) {
        match sniff(&mut stream).await {
            Ok(Sniffed::Http1(read)) => {
                let arrived = Arrived { io: stream, read_ahead: read, reset: reset_at_close };
                self.serve_http1(arrived, None).await;
            }
            Ok(Sniffed::Http2(read)) => self.serve_http2(stream, read, None).await,
            Ok(Sniffed::Nothing) => {}
            Err(error) => tracing::debug!(peer = %self.peer, %error, "connection lost"),
        }
    }

    async fn serve_tls(self, stream: TcpStream) {
        let (stream, facts, chosen) = match handshake(&self.socket.tls, stream).await {
            Ok(shaken) => shaken,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "TLS handshake failed");
                return;
            }
        };
        self.activity.begin_waiting();
        match chosen {
            // A TLS stream that ends without saying so has failed, and its peer sees that.
            Chosen::Http1 => {
                let arrived = Arrived { io: stream, read_ahead: Bytes::new(), reset: |_| {} };
                self.serve_http1(arrived, Some(facts)).await;
            }
            Chosen::Http2 => self.serve_http2(stream, Bytes::new(), Some(facts)).await,
        }
    }

    async fn serve_http1<I>(self, arrived: Arrived<I>, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = self.connection(tls);
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
        let service = answer_streams(self.worker.proxy.clone(), connection, self.activity.clone());
        let io = Watched::new(io, read_ahead, self.activity.clone());
        let outcome = http2::serve(io, service, &self.activity).await;
        self.note(outcome);
    }

    fn connection(&self, tls: Option<TlsFacts>) -> Arc<Connection> {
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

/// Has the end of a stream tell its peer that something failed.
fn reset_at_close(stream: &TcpStream) {
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
