//! Serving one port, and leaving it to another process without anybody noticing.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bounded::{Bounded, Places};

/// What becomes of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortPhase {
    /// It is served.
    Open,
    /// Nobody new is accepted: the socket is another process's. Who was accepted is answered as before, for the
    /// request may be on its way.
    Left,
    /// Every connection ends after what it is being answered.
    Closed,
}

/// Serves a port until it is closed. It only ever moves forward through the phases.
///
/// # Errors
/// Where the socket fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    mut phase: watch::Receiver<PortPhase>,
) -> io::Result<()> {
    let places = Places::default();
    let listener = Leavable { listener: Some(listener), phase: phase.clone(), places };
    let closed = async move { reach(&mut phase, PortPhase::Closed).await };
    axum::serve(listener, router).with_graceful_shutdown(closed).await
}

/// A listener that is let go of before the connections are.
struct Leavable {
    listener: Option<TcpListener>,
    phase: watch::Receiver<PortPhase>,
    places: Places,
}

impl Listener for Leavable {
    type Io = Bounded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Bounded, SocketAddr) {
        if let Some(listener) = &mut self.listener {
            tokio::select! {
                (stream, peer) = Listener::accept(listener) => {
                    return (self.places.enter(stream), peer);
                }
                () = reach(&mut self.phase, PortPhase::Left) => {}
            }
        }
        self.listener = None;
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener
            .as_ref()
            .map_or(Err(io::ErrorKind::NotConnected.into()), |listener| listener.local_addr())
    }
}

async fn reach(phase: &mut watch::Receiver<PortPhase>, wanted: PortPhase) {
    if phase.wait_for(|phase| *phase >= wanted).await.is_err() {
        // Who could close it is gone; the process ends by itself.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn who_was_accepted_is_answered_after_the_port_was_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let phase = watch::Sender::new(PortPhase::Open);
        let router = Router::new().route("/", get(|| async { "here" }));
        let serving = tokio::spawn(serve(listener, router, phase.subscribe()));
        // The second one's acceptance follows the first one's.
        let mut early = TcpStream::connect(address).await.unwrap();
        ask(&mut TcpStream::connect(address).await.unwrap()).await;
        phase.send_replace(PortPhase::Left);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        ask(&mut early).await;
        phase.send_replace(PortPhase::Closed);
        let mut rest = String::new();
        early.read_to_string(&mut rest).await.unwrap();
        serving.await.unwrap().unwrap();
    }

    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"here") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "no answer");
        }
    }
}
