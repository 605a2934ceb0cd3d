//! What the tests of this room share: a worker, a cluster, an upstream played by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model as model;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

use crate::{Cluster, Endpoint};

/// Runs a test as a worker runs its requests. Where it is about time, it calls `tokio::time::pause`: the
/// clock then stands still and jumps to the next timer when nothing else is left to do.
pub(crate) fn on_worker(test: impl Future<Output = ()> + 'static) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    // A task, as requests are: the runtime polls what it blocks on out of turn.
    runtime.block_on(async { tokio::task::spawn_local(test).await.unwrap() });
}

/// A cluster with these endpoints and weights.
pub(crate) fn cluster_of(endpoints: &[(SocketAddr, u32)]) -> Arc<Cluster> {
    Cluster::new(&Arc::new(model::Cluster::for_test(endpoints)), None)
}

/// An upstream whose every byte the test writes.
pub(crate) struct Played {
    listener: TcpListener,
    pub(crate) cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
}

impl Played {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = cluster_of(&[(listener.local_addr().unwrap(), 1)]);
        let endpoint = cluster.endpoints().remove(0);
        Played { listener, cluster, endpoint }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) async fn accept(&self) -> PlayedConnection {
        PlayedConnection(self.listener.accept().await.unwrap().0)
    }
}

/// The upstream's side of one connection.
pub(crate) struct PlayedConnection(pub(crate) TcpStream);

impl PlayedConnection {
    /// Reads up to the end of a head.
    pub(crate) async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads a head and writes a reply.
    pub(crate) async fn answer(&mut self, text: &str) -> String {
        let head = self.read_head().await;
        self.write(text).await;
        head
    }

    /// Whether the client closed the connection, once it sends nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest).await {
            Ok(_) => rest.is_empty(),
            Err(_) => true,
        }
    }

    /// Closes with a reset in place of a clean end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
