//! Whole exchanges against an upstream played by hand.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use portcullis_message::Body;
use tokio::io::AsyncWriteExt;

use crate::test_upstream::{Played, PlayedConnection, cluster_of, on_worker};
use crate::{Lease, Pools, RequestBody, SendError, Spoken, UpstreamBody, UpstreamFailure};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(crate) fn get() -> Request<RequestBody> {
    with_body(Method::GET, Body::Empty)
}

pub(crate) fn with_body(method: Method, body: Body) -> Request<RequestBody> {
    let request = Request::builder().method(method).uri("/").header("host", "shop.example");
    request.body(RequestBody::new(body)).unwrap()
}

pub(crate) async fn checkout(pools: &Pools, upstream: &Played) -> Lease {
    pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap()
}

/// Sends a request on a new connection while the upstream does what the test says.
pub(crate) async fn exchange(
    pools: &Pools,
    upstream: &Played,
    request: Request<RequestBody>,
    play: impl AsyncFnOnce(PlayedConnection) -> Option<PlayedConnection>,
) -> (Result<Response<UpstreamBody>, SendError>, Option<PlayedConnection>) {
    let lease = checkout(pools, upstream).await;
    assert!(!lease.reused());
    let connection = upstream.accept().await;
    tokio::join!(lease.send(request), play(connection))
}

/// The same for a plain reply whose body is read.
pub(crate) async fn exchange_ok(pools: &Pools, upstream: &Played, reply: &str) -> PlayedConnection {
    let play = async |mut connection: PlayedConnection| {
        connection.answer(reply).await;
        Some(connection)
    };
    let (response, connection) = exchange(pools, upstream, get(), play).await;
    response.unwrap().into_body().collect().await.unwrap();
    connection.unwrap()
}

/// Lets the runtime see what happened on the sockets.
pub(crate) async fn settle() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_connection_is_reused_and_counts_come_back_to_zero() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        assert_eq!(pools.idle(), 1);
        assert_eq!(upstream.endpoint().active(), 0);

        let lease = checkout(&pools, &upstream).await;
        assert!(lease.reused());
        assert!(lease.local_address().is_some());
        assert_eq!(upstream.endpoint().active(), 1);
        let (response, head) = tokio::join!(lease.send(get()), connection.answer(OK));
        assert!(head.starts_with("GET / HTTP/1.1\r\nhost: shop.example\r\n"), "{head}");
        let response = response.unwrap();
        assert_eq!(upstream.endpoint().active(), 1);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        assert_eq!((upstream.endpoint().active(), upstream.endpoint().connections()), (0, 1));
        pools.close_idle();
        assert_eq!(upstream.endpoint().connections(), 0);
        assert!(connection.is_closed().await);
    });
}

#[test]
fn an_empty_reply_brings_the_connection_back_at_once() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let reply = "HTTP/1.1 204 No Content\r\n\r\n";
        let play = async |mut connection: PlayedConnection| {
            connection.answer(reply).await;
            Some(connection)
        };
        let (response, _connection) = exchange(&pools, &upstream, get(), play).await;
        let response = response.unwrap();
        assert_eq!(pools.idle(), 1);
        assert_eq!(upstream.endpoint().active(), 1);
        drop(response);
        assert_eq!(upstream.endpoint().active(), 0);
    });
}

#[test]
fn a_connection_that_the_peer_closed_is_not_used() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        drop(exchange_ok(&pools, &upstream, OK).await);
        settle().await;
        assert_eq!(pools.idle(), 1);
        assert!(!checkout(&pools, &upstream).await.reused());
        assert_eq!(pools.idle(), 0);
    });
}

#[test]
fn a_connection_that_rested_is_looked_at_twice() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let connection = exchange_ok(&pools, &upstream, OK).await;
        tokio::time::pause();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        tokio::time::resume();
        // Closed without giving our runtime a turn to notice.
        drop(connection);
        assert!(!checkout(&pools, &upstream).await.reused());
    });
}

#[test]
fn connection_close_and_unframed_replies_are_not_pooled() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        let mut connection = exchange_ok(&pools, &upstream, close).await;
        assert!(connection.is_closed().await);
        let until_closed = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 200 OK\r\n\r\nok").await;
            None
        };
        let (response, _) = exchange(&pools, &upstream, get(), until_closed).await;
        assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "ok");
        settle().await;
        assert!(!checkout(&pools, &upstream).await.reused());
    });
}

#[test]
fn what_was_never_sent_comes_back() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let connection = exchange_ok(&pools, &upstream, OK).await;
        let lease = checkout(&pools, &upstream).await;
        assert!(lease.reused());
        drop(connection);
        settle().await;
        let body = Bytes::from_static(b"once");
        match lease.send(with_body(Method::POST, body.into())).await {
            Err(SendError::Unsent { request, cause }) => {
                assert_eq!(request.method(), Method::POST);
                assert!(!request.body().progress().unwrap().ended());
                assert_eq!(cause, UpstreamFailure::Closed);
            }
            _ => panic!("it was sent"),
        }
        assert_eq!(upstream.endpoint().active(), 0);
    });
}

#[test]
fn trailers_pass_and_the_connection_comes_back() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let reply = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                     3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
        let play = async |mut connection: PlayedConnection| {
            connection.answer(reply).await;
            Some(connection)
        };
        let (response, _connection) = exchange(&pools, &upstream, get(), play).await;
        let body = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "7");
        assert_eq!(body.to_bytes(), "abc");
        assert!(checkout(&pools, &upstream).await.reused());
    });
}

#[test]
fn a_body_dropped_midway_closes_the_connection() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await;
            Some(connection)
        };
        let (response, connection) = exchange(&pools, &upstream, get(), play).await;
        let mut body = response.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        drop(body);
        assert!(connection.unwrap().is_closed().await);
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
        assert_eq!(upstream.endpoint().active(), 0);
    });
}

#[test]
fn a_request_given_up_closes_the_connection() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease = checkout(&pools, &upstream).await;
        let mut connection = upstream.accept().await;
        tokio::select! {
            _ = lease.send(get()) => panic!("nobody answered"),
            head = connection.read_head() => assert!(head.starts_with("GET / ")),
        }
        assert!(connection.is_closed().await);
        assert_eq!((upstream.endpoint().active(), upstream.endpoint().connections()), (0, 0));
    });
}

#[test]
fn a_truncated_body_is_an_error_and_never_pooled() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await;
            None
        };
        let (response, _) = exchange(&pools, &upstream, get(), play).await;
        let error = response.unwrap().into_body().collect().await.unwrap_err();
        assert!(matches!(UpstreamFailure::from(&error), UpstreamFailure::BodyBroken(_)));
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
    });
}

/// More than the sockets between us take in.
fn large_upload() -> Request<RequestBody> {
    with_body(Method::POST, Bytes::from(vec![b'x'; 32 << 20]).into())
}

#[test]
fn an_early_refusal_is_delivered_although_the_upload_breaks() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let refuse = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge").await;
            // Closed with most of the upload unread, which resets the connection.
            None
        };
        let (response, _) = exchange(&pools, &upstream, large_upload(), refuse).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "large");
        settle().await;
        assert!(!checkout(&pools, &upstream).await.reused());
    });
}

#[test]
fn an_upstream_that_answered_but_does_not_read_is_not_used_again() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.answer(OK).await;
            Some(connection)
        };
        let (response, connection) = exchange(&pools, &upstream, large_upload(), play).await;
        response.unwrap().into_body().collect().await.unwrap();
        assert!(!checkout(&pools, &upstream).await.reused());
        drop(connection);
    });
}

pub(crate) async fn failure_of(reply: &str) -> UpstreamFailure {
    let (pools, upstream) = (Pools::new(), Played::start().await);
    let play = async |mut connection: PlayedConnection| {
        connection.read_head().await;
        // We may close before we have read it all.
        let _ = connection.0.write_all(reply.as_bytes()).await;
        None
    };
    match exchange(&pools, &upstream, get(), play).await.0 {
        Err(SendError::Failed { cause, .. }) => cause,
        _ => panic!("{reply:?} is no failure"),
    }
}

#[test]
fn what_is_no_reply_is_told_apart() {
    on_worker(async {
        assert_eq!(failure_of("").await, UpstreamFailure::Closed);
        let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(40 << 10));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
        let both = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n";
        for reply in ["SSH-2.0-x\r\n\r\n", &huge, &many, both, switched] {
            let failure = failure_of(reply).await;
            assert!(matches!(failure, UpstreamFailure::Protocol(_)), "{failure:?}");
        }
    });
}

#[test]
fn a_reset_is_told_from_a_close() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.read_head().await;
            connection.reset();
            None
        };
        let (response, _) = exchange(&pools, &upstream, get(), play).await;
        let cause = response.err().unwrap().cause().clone();
        assert!(matches!(cause, UpstreamFailure::Reset(_)), "{cause:?}");
    });
}

async fn connect_failure(address: SocketAddr) -> UpstreamFailure {
    let cluster = cluster_of(&[(address, 1)]);
    let endpoint = &cluster.endpoints()[0];
    let error = Pools::new().checkout(&cluster, endpoint, Spoken::Http1).await.err().unwrap();
    assert_eq!((error.address, endpoint.active()), (address, 0));
    error.cause
}

#[test]
fn a_refused_connection_is_said_to_be() {
    on_worker(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(connect_failure(address).await, UpstreamFailure::ConnectRefused);
    });
}

#[test]
fn a_connection_that_does_not_come_about_times_out() {
    on_worker(async {
        // A listener whose queue is full drops further SYNs.
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _queued = std::net::TcpStream::connect(address).unwrap();
        tokio::time::pause();
        assert_eq!(connect_failure(address).await, UpstreamFailure::ConnectTimeout);
    });
}

#[test]
fn idle_connections_are_swept_after_their_timeout() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let started = tokio::time::Instant::now();
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        // Nothing else to do: the clock jumps from sweep to sweep.
        tokio::time::pause();
        assert!(connection.is_closed().await);
        assert_eq!(started.elapsed().as_secs(), 30);
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
        // The sweep starts anew with the next idle connection.
        tokio::time::resume();
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        tokio::time::pause();
        assert!(connection.is_closed().await);
    });
}

#[test]
fn endpoints_that_are_gone_lose_their_idle_connections() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        pools.drop_removed();
        assert_eq!(pools.idle(), 1);
        upstream.cluster.set_endpoints(Vec::new());
        pools.drop_removed();
        assert_eq!(pools.idle(), 0);
        assert!(connection.is_closed().await);
    });
}

#[test]
fn a_connection_whose_endpoint_has_left_is_not_kept() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        upstream.cluster.retire();
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        assert_eq!(pools.idle(), 0);
        assert!(connection.is_closed().await);
    });
}

#[test]
fn the_futures_of_a_request_stay_small() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let checkout = pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1);
        let size = std::mem::size_of_val(&checkout);
        assert!(size <= 640, "checkout takes {size} bytes");
        let lease = checkout.await.unwrap();
        let size = std::mem::size_of_val(&lease.send(get()));
        assert!(size <= 960, "send takes {size} bytes");
    });
}
