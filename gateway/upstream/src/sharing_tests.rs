//! Which HTTP/2 connection a request goes by, and when connections go.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use portcullis_model::{ConnectionPool, Http2Keepalive};

use crate::exchange_tests::{get, settle};
use crate::test_http2::{Http2Upstream, frame};
use crate::test_upstream::on_worker;
use crate::{Caller, Pools, Spoken};

#[test]
fn after_goaway_what_is_under_way_ends_and_others_go_elsewhere() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let first = upstream.send(&pools, get());
        let (first, mut played) = tokio::join!(first, async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.head(stream, &[(":status", "200")], 0).await;
            played.goaway(stream, 0).await;
            played
        });
        let first = first.unwrap();
        settle().await;
        let (second, mut other) = tokio::join!(upstream.send(&pools, get()), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.reply(stream, b"new").await;
            played
        });
        assert_eq!(second.unwrap().into_body().collect().await.unwrap().to_bytes(), "new");
        played.send(frame::DATA, frame::END_STREAM, 1, b"old").await;
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "old");
        assert!(played.is_closed().await);
        assert_eq!(upstream.endpoint.connections(), 1);
        pools.close_idle();
        assert!(other.is_closed().await);
    });
}

#[test]
fn when_a_connection_is_full_another_is_opened() {
    on_worker(async {
        let pool = ConnectionPool { max_concurrent_streams: Some(2), ..ConnectionPool::default() };
        let (pools, upstream) = (Pools::new(), Http2Upstream::start_with(pool).await);
        let mut leases = Vec::new();
        for expected in [1, 1, 2, 2, 3] {
            leases.push(upstream.checkout(&pools).await.unwrap());
            assert_eq!(upstream.endpoint.connections(), expected);
        }
        leases.remove(0);
        leases.push(upstream.checkout(&pools).await.unwrap());
        assert_eq!(upstream.endpoint.connections(), 3);
    });
}

#[test]
fn the_upstreams_own_limit_of_streams_is_kept_to() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let _first = upstream.checkout(&pools).await.unwrap();
        let mut played = upstream.accept_bare().await;
        played.preface().await;
        // MAX_CONCURRENT_STREAMS = 1.
        played.send(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]).await;
        loop {
            let settings = played.next_of(frame::SETTINGS).await;
            if settings.flags == frame::ACK {
                break;
            }
        }
        let _second = upstream.checkout(&pools).await.unwrap();
        assert_eq!(upstream.endpoint.connections(), 2);
    });
}

#[test]
fn requests_that_come_together_wait_for_one_connection() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let checkout = || upstream.checkout(&pools);
        let (one, two, three) = tokio::join!(checkout(), checkout(), checkout());
        let _leases = (one.unwrap(), two.unwrap(), three.unwrap());
        assert_eq!(upstream.endpoint.connections(), 1);
    });
}

#[test]
fn a_connection_serves_so_many_requests_and_no_more() {
    on_worker(async {
        let pool =
            ConnectionPool { max_requests_per_connection: Some(2), ..ConnectionPool::default() };
        let (pools, upstream) = (Pools::new(), Http2Upstream::start_with(pool).await);
        let mut addresses = Vec::new();
        for _ in 0..4 {
            let lease = upstream.checkout(&pools).await.unwrap();
            addresses.push(lease.local_address().unwrap());
        }
        assert_eq!(addresses[0], addresses[1]);
        assert_ne!(addresses[1], addresses[2]);
        assert_eq!(addresses[2], addresses[3]);
    });
}

#[test]
fn a_silent_connection_is_found_out_by_ping() {
    on_worker(async {
        let keepalive =
            Http2Keepalive { interval: Duration::from_secs(10), timeout: Duration::from_secs(2) };
        let pool = ConnectionPool { http2_keepalive: Some(keepalive), ..ConnectionPool::default() };
        let (pools, upstream) = (Pools::new(), Http2Upstream::start_with(pool).await);
        let lease = upstream.checkout(&pools).await.unwrap();
        let mut played = upstream.accept().await;
        tokio::time::pause();
        let (response, ()) = tokio::join!(lease.send(get()), async {
            played.request().await;
            let ping = played.next_of(frame::PING).await;
            played.send(frame::PING, frame::ACK, 0, &ping.payload).await;
            // The next one gets no answer.
            played.next_of(frame::PING).await;
        });
        let error = response.err().unwrap();
        assert_eq!(error.to_string(), "connection reset: no answer to PING");
        assert!(upstream.endpoint.connections() == 0);
    });
}

#[test]
fn what_lies_unused_is_let_go() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        drop(upstream.checkout(&pools).await.unwrap());
        let mut played = upstream.accept().await;
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert_eq!(pools.idle(), 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(pools.idle(), 0);
        assert!(played.is_closed().await);
    });
}

#[test]
fn an_endpoint_that_left_takes_no_further_request() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        drop(upstream.checkout(&pools).await.unwrap());
        let mut played = upstream.accept().await;
        upstream.cluster.set_endpoints(Vec::new());
        pools.drop_removed();
        assert!(played.is_closed().await);
        assert_eq!(pools.idle(), 0);
    });
}

#[test]
fn where_streams_are_few_each_of_many_gets_a_connection() {
    on_worker(async {
        let pool = ConnectionPool { max_concurrent_streams: Some(1), ..ConnectionPool::default() };
        let (pools, upstream) = (Pools::new(), Rc::new(Http2Upstream::start_with(pool).await));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (pools, upstream) = (pools.clone(), upstream.clone());
            all.spawn_local(async move { upstream.checkout(&pools).await });
        }
        let leases = all.join_all().await;
        assert!(leases.iter().all(Result::is_ok));
        assert_eq!(upstream.endpoint.connections(), 20);
    });
}

#[test]
fn an_upstream_that_allows_no_stream_gets_no_more_connections() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let mut played = Vec::new();
        for _ in 0..2 {
            // What is not known yet is not kept to.
            let lease = upstream.checkout(&pools).await.unwrap();
            let mut connection = upstream.accept_bare().await;
            connection.preface().await;
            connection.send(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]).await;
            while connection.next_of(frame::SETTINGS).await.flags != frame::ACK {}
            played.push(connection);
            drop(lease);
        }
        for _ in 0..10 {
            let error = upstream.checkout(&pools).await.err().unwrap();
            assert!(error.to_string().contains("takes no stream"), "{error}");
        }
        assert_eq!(upstream.endpoint.connections(), 2);
        // It does again.
        played[1].send(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]).await;
        while played[1].next_of(frame::SETTINGS).await.flags != frame::ACK {}
        let _lease = upstream.checkout(&pools).await.unwrap();
        assert_eq!(upstream.endpoint.connections(), 2);
    });
}

#[test]
fn where_no_more_may_be_opened_a_request_waits_for_a_stream() {
    on_worker(async {
        let pool = ConnectionPool {
            max_concurrent_streams: Some(1),
            max_connections: Some(1),
            max_pending: Some(1),
            ..ConnectionPool::default()
        };
        let (pools, upstream) = (Pools::new(), Http2Upstream::start_with(pool).await);
        let first = upstream.checkout(&pools).await.unwrap();
        let (second, refused, ()) =
            tokio::join!(upstream.checkout(&pools), upstream.checkout(&pools), async {
                settle().await;
                drop(first);
            });
        let _second = second.unwrap();
        assert!(refused.err().unwrap().to_string().contains("pending"));
        assert_eq!(upstream.endpoint.connections(), 1);
        tokio::time::pause();
        let error = upstream.checkout(&pools).await.err().unwrap();
        assert!(error.to_string().contains("connections"), "{error}");
    });
}

#[test]
fn connections_that_serve_one_client_each_are_not_kept_without_end() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let mut settings = (**upstream.cluster.settings()).clone();
        settings.proxy_header = Some(portcullis_model::UpstreamProxyHeader::V2);
        let cluster = crate::Cluster::new(&settings.into(), Some(&upstream.cluster));
        let mut accepted = Vec::new();
        for port in 1..=300 {
            let client = ([127, 0, 0, 1], port).into();
            let caller = Caller { authority: None, connection: Some((client, client)) };
            let spoken = Spoken::Http2;
            pools.checkout_for(&cluster, &upstream.endpoint, spoken, caller).await.unwrap();
            accepted.push(upstream.accept_bare().await);
        }
        // Those that are let go of say so and close.
        while upstream.endpoint.connections() > 256 {
            settle().await;
        }
        assert_eq!(upstream.endpoint.connections(), 256);
    });
}
