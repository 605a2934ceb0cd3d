//! The load under which faults are looked at: many connections, GET and POST in turn, each with an id of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_testkit::{Call, Client};
use tokio::task::JoinSet;

use crate::shop::HOST;

/// Connections that ask one request after the other. A connection that ends, another status than 200 or another
/// request's reply fails the test.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Begins; the upstream has to be a fake one, whose replies tell the request.
    pub async fn begin(address: SocketAddr, connections: usize) -> Load {
        let (shared, mut clients) = (Arc::<Shared>::default(), JoinSet::new());
        for connection in 0..connections {
            let client = Client::http1(address).await.unwrap();
            clients.spawn(shared.clone().keep_asking(connection, client));
        }
        Load { shared, clients }
    }

    /// Waits until so many more requests are answered.
    pub async fn until_answered(&self, more: usize) {
        let goal = self.shared.answered.load(Ordering::Relaxed) + more;
        let reached = async {
            while self.shared.answered.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
            }
        };
        portcullis_testkit::within("answers", reached).await;
    }

    /// Stops; how many requests were answered in all.
    pub async fn end(self) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn keep_asking(self: Arc<Self>, connection: usize, mut client: Client) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let path = format!("/{connection}/{turn}");
            let call = match turn % 2 {
                0 => Call::get(HOST, &path),
                _ => Call::post(HOST, &path, path.clone()),
            };
            let reply = client.call(call).await;
            assert_eq!(reply.status, 200, "{path}: {reply:?}");
            assert_eq!(reply.json()["path"], path.as_str(), "another request's reply");
            self.answered.fetch_add(1, Ordering::Relaxed);
            turn += 1;
        }
    }
}
