//! Idle connections: how it is known whether they live, and what is sent again.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::runtime::Handle;

use crate::exchange_tests::{OK, checkout, exchange_ok, get, settle, with_body};
use crate::test_upstream::{Played, on_worker};
use crate::{Pools, SendError};

#[test]
fn an_exchange_needs_no_task_of_its_own() {
    on_worker(async {
        let alive = || Handle::current().metrics().num_alive_tasks();
        let before = alive();
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease = checkout(&pools, &upstream).await;
        let mut connection = upstream.accept().await;
        let (response, _) = tokio::join!(lease.send(get()), connection.answer(OK));
        assert_eq!(alive(), before);
        response.unwrap().into_body().collect().await.unwrap();
        // That which sweeps the idle connections, all of them.
        assert_eq!(alive(), before + 1);
        pools.close_idle();
    });
}

#[test]
fn whether_an_idle_connection_lives_is_not_asked_of_the_system() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let connection = exchange_ok(&pools, &upstream, OK).await;
        // Closed, which a system call would tell; the runtime has had no turn to hear of it.
        drop(connection);
        assert!(checkout(&pools, &upstream).await.reused());
        assert_eq!(pools.idle(), 0);
    });
}

#[test]
fn an_upstream_that_speaks_out_of_turn_is_not_asked_again() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        connection.write("HTTP/1.1 408 Request Timeout\r\n\r\n").await;
        settle().await;
        assert!(!checkout(&pools, &upstream).await.reused());
        assert!(connection.is_closed().await);
    });
}

#[test]
fn what_a_reset_kept_from_being_sent_comes_back_whole() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let connection = exchange_ok(&pools, &upstream, OK).await;
        let lease = checkout(&pools, &upstream).await;
        assert!(lease.reused());
        // The runtime has no turn to hear of it, so the write is what fails, with the body taken.
        connection.reset();
        let body = Bytes::from_static(b"once");
        match lease.send(with_body(Method::POST, body.into())).await {
            Err(SendError::Unsent { request, .. }) => {
                assert_eq!(request.headers()["host"], "shop.example");
                let progress = request.body().progress().unwrap();
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "once");
                assert_eq!(progress.bytes(), 4);
            }
            _ => panic!("it was sent"),
        }
    });
}

#[test]
fn what_was_written_never_counts_as_unsent() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        let lease = checkout(&pools, &upstream).await;
        let close = async {
            connection.read_head().await;
            drop(connection);
        };
        let (response, ()) = tokio::join!(lease.send(get()), close);
        assert!(matches!(response, Err(SendError::Failed { .. })));
    });
}

#[test]
fn a_sweep_lets_go_of_what_the_peer_closed() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        drop(exchange_ok(&pools, &upstream, OK).await);
        settle().await;
        assert_eq!(upstream.endpoint().connections(), 1);
        tokio::time::pause();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
    });
}

#[test]
fn a_connection_serves_many_exchanges() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut connection = exchange_ok(&pools, &upstream, OK).await;
        for turn in 0..100 {
            let lease = checkout(&pools, &upstream).await;
            assert!(lease.reused());
            let length = 1 + turn * 331;
            let body = "z".repeat(length);
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let (response, _) = tokio::join!(lease.send(get()), connection.answer(&reply));
            let collected = response.unwrap().into_body().collect().await.unwrap();
            assert_eq!(collected.to_bytes().len(), length);
        }
        assert_eq!(upstream.endpoint().connections(), 1);
    });
}
