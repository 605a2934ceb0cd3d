//! Who gets which connection: limits, ages, and requests that wait.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use portcullis_model as model;
use portcullis_model::ConnectionPool;
use tokio::net::{TcpListener, TcpStream};

use crate::exchange_tests::{OK, get, settle};
use crate::test_upstream::{PlayedConnection, on_worker};
use crate::{Caller, Cluster, ConnectError, Endpoint, Lease, Pools, Spoken, UpstreamFailure};

struct Upstream {
    listener: TcpListener,
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
}

impl Upstream {
    async fn start(pool: ConnectionPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = model::Cluster { pool, ..model::Cluster::for_test(&[(address, 1)]) };
        let cluster = Cluster::new(&Arc::new(settings), None);
        let endpoint = cluster.endpoints().remove(0);
        Upstream { listener, cluster, endpoint }
    }

    async fn checkout(&self, pools: &Pools) -> Result<Lease, ConnectError> {
        pools.checkout(&self.cluster, &self.endpoint, Spoken::Http1).await
    }

    async fn accept(&self) -> PlayedConnection {
        PlayedConnection(self.listener.accept().await.unwrap().0)
    }

    /// A request and its reply on a lease.
    async fn exchange(&self, lease: Lease, connection: &mut PlayedConnection) {
        let (response, _) = tokio::join!(lease.send(get()), connection.answer(OK));
        response.unwrap().into_body().collect().await.unwrap();
    }
}

fn one_connection() -> ConnectionPool {
    ConnectionPool {
        max_connections: Some(1),
        connect_timeout: Duration::from_secs(1),
        ..ConnectionPool::default()
    }
}

#[test]
fn where_no_more_may_be_opened_a_request_waits_for_one_to_come_back() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(one_connection()).await);
        let first = upstream.checkout(&pools).await.unwrap();
        let mut connection = upstream.accept().await;
        let second = upstream.checkout(&pools);
        let (second, ()) = tokio::join!(second, upstream.exchange(first, &mut connection));
        let second = second.unwrap();
        assert!(second.reused());
        assert_eq!(upstream.endpoint.connections(), 1);
        upstream.exchange(second, &mut connection).await;
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn when_the_last_connection_closes_who_waits_opens_one() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(one_connection()).await);
        let first = upstream.checkout(&pools).await.unwrap();
        let second = upstream.checkout(&pools);
        let (second, ()) = tokio::join!(second, async {
            settle().await;
            drop(first);
        });
        assert!(!second.unwrap().reused());
    });
}

#[test]
fn who_waits_too_long_is_told_of_the_limit() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(one_connection()).await);
        let _first = upstream.checkout(&pools).await.unwrap();
        tokio::time::pause();
        let error = upstream.checkout(&pools).await.err().unwrap();
        assert!(matches!(error.cause, UpstreamFailure::Overflow(_)), "{error}");
    });
}

#[test]
fn only_so_many_wait() {
    on_worker(async {
        let pool = ConnectionPool { max_pending: Some(1), ..one_connection() };
        let (pools, upstream) = (Pools::new(), Upstream::start(pool).await);
        let _first = upstream.checkout(&pools).await.unwrap();
        tokio::time::pause();
        let (waits, refused) = tokio::join!(upstream.checkout(&pools), upstream.checkout(&pools));
        let told = [waits, refused].map(|outcome| outcome.err().unwrap().to_string());
        assert!(told[0].contains("connections") && told[1].contains("pending"), "{told:?}");
    });
}

#[test]
fn a_worker_that_has_none_opens_one_beyond_the_limit() {
    on_worker(async {
        let upstream = Upstream::start(one_connection()).await;
        let (pools, of_another_worker) = (Pools::new(), Pools::new());
        let _first = upstream.checkout(&pools).await.unwrap();
        assert!(!upstream.checkout(&of_another_worker).await.unwrap().reused());
    });
}

/// A listener whose backlog is full: connects to it neither succeed nor fail.
async fn blackhole() -> (TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    let address = listener.local_addr().unwrap();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
    }
    (listener, queued)
}

#[test]
fn who_connects_takes_what_comes_back_meanwhile_and_the_new_one_is_kept() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(ConnectionPool::default()).await);
        let first = upstream.checkout(&pools).await.unwrap();
        let mut connection = upstream.accept().await;
        let (response, _) = tokio::join!(first.send(get()), connection.answer(OK));
        let mut body = response.unwrap().into_body();
        let second = upstream.checkout(&pools);
        let (second, ()) = tokio::join!(second, async {
            // The connect has begun; the runtime has had no turn to hear how it went.
            while body.frame().await.is_some() {}
        });
        assert!(second.unwrap().reused());
        let _kept = upstream.accept().await;
        while pools.idle() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(upstream.endpoint.connections(), 1);
    });
}

#[test]
fn a_request_that_leaves_takes_its_connect_along() {
    on_worker(async {
        let (listener, _queued) = blackhole().await;
        let address = listener.local_addr().unwrap();
        let cluster = Cluster::new(&Arc::new(model::Cluster::for_test(&[(address, 1)])), None);
        let endpoint = cluster.endpoints().remove(0);
        let pools = Pools::new();
        let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let left = tokio::time::timeout(
            Duration::from_millis(10),
            pools.checkout(&cluster, &endpoint, Spoken::Http1),
        );
        assert!(left.await.is_err());
        settle().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
    });
}

#[test]
fn a_connection_serves_so_many_requests() {
    on_worker(async {
        let pool =
            ConnectionPool { max_requests_per_connection: Some(2), ..ConnectionPool::default() };
        let (pools, upstream) = (Pools::new(), Upstream::start(pool).await);
        let lease = upstream.checkout(&pools).await.unwrap();
        let mut connection = upstream.accept().await;
        upstream.exchange(lease, &mut connection).await;
        let lease = upstream.checkout(&pools).await.unwrap();
        assert!(lease.reused());
        upstream.exchange(lease, &mut connection).await;
        assert_eq!(pools.idle(), 0);
        assert!(connection.is_closed().await);
    });
}

#[test]
fn a_connection_grows_too_old() {
    on_worker(async {
        let pool = ConnectionPool {
            max_connection_duration: Some(Duration::ZERO),
            ..ConnectionPool::default()
        };
        let (pools, upstream) = (Pools::new(), Upstream::start(pool).await);
        let lease = upstream.checkout(&pools).await.unwrap();
        let mut connection = upstream.accept().await;
        upstream.exchange(lease, &mut connection).await;
        assert_eq!(pools.idle(), 0);
        assert!(connection.is_closed().await);
    });
}

#[test]
fn only_so_many_lie_idle() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(ConnectionPool::default()).await);
        let mut leases = Vec::new();
        let mut connections = Vec::new();
        for _ in 0..260 {
            leases.push(upstream.checkout(&pools).await.unwrap());
            connections.push(upstream.accept().await);
        }
        for (lease, connection) in leases.into_iter().zip(&mut connections) {
            upstream.exchange(lease, connection).await;
        }
        assert_eq!(pools.idle(), 256);
    });
}

#[test]
fn a_place_that_another_worker_gives_up_is_found() {
    on_worker(async {
        let pool = ConnectionPool { max_connections: Some(2), ..one_connection() };
        let (pools, of_another_worker) = (Pools::new(), Pools::new());
        let upstream = Upstream::start(pool).await;
        let theirs = [
            upstream.checkout(&of_another_worker).await.unwrap(),
            upstream.checkout(&of_another_worker).await.unwrap(),
        ];
        let _beyond_the_limit = upstream.checkout(&pools).await.unwrap();
        assert_eq!(upstream.cluster.limits().next().unwrap().now, 3);
        let (waits, ()) = tokio::join!(upstream.checkout(&pools), async {
            settle().await;
            drop(theirs);
        });
        assert!(!waits.unwrap().reused());
        assert_eq!(upstream.cluster.limits().next().unwrap().overflows, 2);
    });
}

#[test]
fn who_finds_its_connection_closed_waits_too_where_no_more_may_be_opened() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Upstream::start(one_connection()).await);
        let first = upstream.checkout(&pools).await.unwrap();
        let mut connection = upstream.accept().await;
        let (cluster, endpoint) = (&upstream.cluster, &upstream.endpoint);
        let again = pools.checkout_fresh(cluster, endpoint, Spoken::Http1, Caller::default());
        let (again, ()) = tokio::join!(again, upstream.exchange(first, &mut connection));
        assert!(again.unwrap().reused());
    });
}
