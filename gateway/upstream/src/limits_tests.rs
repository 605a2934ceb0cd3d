//! Limits that come, change and go with a configuration, while connections are open and requests under way.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use portcullis_model as model;
use portcullis_model::ConnectionPool;

use crate::exchange_tests::{OK, get, settle};
use crate::test_upstream::{Played, on_worker};
use crate::{
    Breaker, Caller, Cluster, Endpoint, LimitReport, Overflow, Pools, RawConnection, Spoken,
    UpstreamFailure,
};

/// The next generation of a cluster, with these settings of its pool and the same endpoint.
fn limited(previous: &Arc<Cluster>, pool: ConnectionPool) -> Arc<Cluster> {
    let settings = model::Cluster { pool, ..(**previous.settings()).clone() };
    let next = Cluster::new(&Arc::new(settings), Some(previous));
    next.take_over(previous);
    next
}

fn one_request() -> ConnectionPool {
    ConnectionPool { max_requests: Some(1), ..ConnectionPool::default() }
}

fn one_connection() -> ConnectionPool {
    let connect_timeout = Duration::from_secs(1);
    ConnectionPool { max_connections: Some(1), connect_timeout, ..ConnectionPool::default() }
}

fn reading(cluster: &Cluster, breaker: Breaker) -> LimitReport {
    cluster.limits().find(|limit| limit.breaker == breaker).unwrap()
}

/// What a request is told that gets no place; `None` where it gets one.
async fn refused(
    pools: &Pools,
    cluster: &Arc<Cluster>,
    endpoint: &Arc<Endpoint>,
) -> Option<Breaker> {
    match pools.checkout(cluster, endpoint, Spoken::Http1).await {
        Ok(_) => None,
        Err(error) => match error.cause {
            UpstreamFailure::Overflow(Overflow(breaker)) => Some(breaker),
            other => panic!("{other}"),
        },
    }
}

#[test]
fn a_limit_on_requests_that_comes_counts_those_under_way() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (free, endpoint) = (&upstream.cluster, upstream.endpoint());
        let lease = pools.checkout(free, endpoint, Spoken::Http1).await.unwrap();
        let limited = limited(free, one_request());
        assert_eq!(reading(&limited, Breaker::Requests).now, 1);
        assert_eq!(refused(&pools, &limited, endpoint).await, Some(Breaker::Requests));
        drop(lease);
        assert_eq!(refused(&pools, &limited, endpoint).await, None);
        // Whoever began under the old generation and comes only now counts as well, though it has no limit.
        let late = pools.checkout(free, endpoint, Spoken::Http1).await.unwrap();
        assert_eq!(refused(&pools, &limited, endpoint).await, Some(Breaker::Requests));
        drop(late);
        assert_eq!(reading(&limited, Breaker::Requests).now, 0);
    });
}

#[test]
fn requests_at_endpoints_that_have_left_count_too() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let another = Played::start().await;
        let address = another.endpoint().address();
        let settings =
            model::Cluster { pool: one_request(), ..model::Cluster::for_test(&[(address, 1)]) };
        let moved = Cluster::new(&Arc::new(settings), Some(&upstream.cluster));
        moved.take_over(&upstream.cluster);
        let endpoint = moved.endpoints().remove(0);
        assert_eq!(refused(&pools, &moved, &endpoint).await, Some(Breaker::Requests));
        drop(lease);
        assert_eq!(refused(&pools, &moved, &endpoint).await, None);
    });
}

#[test]
fn a_limit_that_goes_and_comes_again_counts_what_began_between() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let endpoint = upstream.endpoint();
        let first = limited(&upstream.cluster, one_request());
        let counted = pools.checkout(&first, endpoint, Spoken::Http1).await.unwrap();
        let free = limited(&first, ConnectionPool::default());
        let uncounted = pools.checkout(&free, endpoint, Spoken::Http1).await.unwrap();
        let again = limited(&free, one_request());
        assert_eq!(reading(&again, Breaker::Requests).now, 2);
        drop((counted, uncounted));
        assert_eq!(refused(&pools, &again, endpoint).await, None);
        assert_eq!(reading(&again, Breaker::Requests).now, 0);
    });
}

#[test]
fn connections_whose_bytes_are_passed_on_are_no_requests() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (free, endpoint) = (&upstream.cluster, upstream.endpoint());
        let _raw = RawConnection::open(free, endpoint, Caller::default()).await.unwrap();
        let limited = limited(free, one_request());
        assert_eq!(refused(&pools, &limited, endpoint).await, None);
    });
}

#[test]
fn a_limit_on_connections_that_comes_counts_those_that_are_open() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (free, endpoint) = (&upstream.cluster, upstream.endpoint());
        let first = pools.checkout(free, endpoint, Spoken::Http1).await.unwrap();
        let second = pools.checkout(free, endpoint, Spoken::Http1).await.unwrap();
        let limited = limited(free, one_connection());
        assert_eq!(reading(&limited, Breaker::Connections).now, 2);
        let waits = pools.checkout(&limited, endpoint, Spoken::Http1);
        let (third, ()) = tokio::join!(waits, async {
            drop(first);
            settle().await;
            // With this one there is still as many as there may be.
            assert_eq!(reading(&limited, Breaker::Connections).now, 1);
            drop(second);
        });
        assert!(!third.unwrap().reused());
        settle().await;
        assert_eq!(reading(&limited, Breaker::Connections).now, 0);
    });
}

#[test]
fn what_one_connection_may_serve_holds_for_those_that_are_open() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (free, endpoint) = (&upstream.cluster, upstream.endpoint());
        let lease = pools.checkout(free, endpoint, Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (response, _) = tokio::join!(lease.send(get()), connection.answer(OK));
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(pools.idle(), 1);
        let pool =
            ConnectionPool { max_requests_per_connection: Some(1), ..ConnectionPool::default() };
        let limited = limited(free, pool);
        let lease = pools.checkout(&limited, endpoint, Spoken::Http1).await.unwrap();
        assert!(!lease.reused());
        assert!(connection.is_closed().await);
    });
}

#[test]
fn what_was_opened_under_other_rules_goes_also_where_nobody_asks_for_it() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (free, endpoint) = (&upstream.cluster, upstream.endpoint());
        let idle_timeout = Duration::ZERO;
        let for_ever = limited(free, ConnectionPool { idle_timeout, ..ConnectionPool::default() });
        let old = pools.checkout(&for_ever, endpoint, Spoken::Http1).await.unwrap();
        let mut first = upstream.accept().await;
        let now = limited(&for_ever, ConnectionPool::default());
        let new = pools.checkout(&now, endpoint, Spoken::Http1).await.unwrap();
        let mut second = upstream.accept().await;
        for (lease, connection) in [(old, &mut first), (new, &mut second)] {
            let (response, _) = tokio::join!(lease.send(get()), connection.answer(OK));
            response.unwrap().into_body().collect().await.unwrap();
        }
        assert_eq!(pools.idle(), 2);
        tokio::time::pause();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(pools.idle(), 1);
        assert!(pools.checkout(&now, endpoint, Spoken::Http1).await.unwrap().reused());
    });
}
