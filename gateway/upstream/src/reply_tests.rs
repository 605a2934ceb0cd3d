//! What replies look like on the wire, and what is refused.

use bytes::Bytes;
use http::{Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use portcullis_message::Body;
use tokio::io::AsyncWriteExt;

use crate::exchange_tests::{
    OK, checkout, exchange, exchange_ok, failure_of, get, settle, with_body,
};
use crate::test_upstream::{Played, PlayedConnection, on_worker};
use crate::{Pools, UpstreamBody, UpstreamFailure};

/// A reply to a request with this method, the connection left open.
async fn reply_to(
    pools: &Pools,
    method: Method,
    reply: &str,
) -> (Response<UpstreamBody>, PlayedConnection) {
    let upstream = Played::start().await;
    let play = async |mut connection: PlayedConnection| {
        connection.answer(reply).await;
        Some(connection)
    };
    let (response, connection) =
        exchange(pools, &upstream, with_body(method, Body::Empty), play).await;
    (response.unwrap(), connection.unwrap())
}

#[test]
fn malformed_heads_are_protocol_errors() {
    on_worker(async {
        for reply in [
            "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
            "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\nok",
        ] {
            let failure = failure_of(reply).await;
            assert!(matches!(failure, UpstreamFailure::Protocol(_)), "{reply:?}: {failure:?}");
        }
    });
}

#[test]
fn a_head_of_a_mebibyte_is_refused() {
    on_worker(async {
        let lines = "x: yyyyyyyyyyyyyy\r\n".repeat(1 << 16);
        let one = "y".repeat(1 << 20);
        for endless in [
            format!("HTTP/1.1 200 OK\r\n{lines}\r\n"),
            format!("HTTP/1.1 200 OK\r\nx: {one}\r\n\r\n"),
            format!("HTTP/1.1 200 {one}"),
            one.clone(),
        ] {
            let failure = failure_of(&endless).await;
            assert!(matches!(failure, UpstreamFailure::Protocol(_)), "{failure:?}");
        }
    });
}

#[test]
fn interim_replies_that_are_for_the_client_are_told_of() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease = checkout(&pools, &upstream).await;
        let mut connection = upstream.accept().await;
        let mut told = Vec::new();
        let sending = lease.send_telling(get(), |interim| {
            told.push((interim.status().as_u16(), interim.headers().contains_key("link")));
        });
        let replies = format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n{OK}"
        );
        let (response, _head) = tokio::join!(sending, connection.answer(&replies));
        assert_eq!(response.unwrap().status(), 200);
        assert_eq!(told, [(103, true), (102, false)]);
    });
}

#[test]
fn interim_replies_are_bounded() {
    on_worker(async {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        let pools = Pools::new();
        let few = format!("{}{OK}", interim.repeat(3));
        let (response, _connection) = reply_to(&pools, Method::GET, &few).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().get("link").is_none());
        response.into_body().collect().await.unwrap();
        assert_eq!(pools.idle(), 1);
        let failure = failure_of(&interim.repeat(10_000)).await;
        assert!(matches!(failure, UpstreamFailure::Protocol(_)), "{failure:?}");
    });
}

#[test]
fn replies_that_have_no_body_bring_the_connection_back_at_once() {
    on_worker(async {
        for (method, reply) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n"),
            (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n"),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
            (Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ] {
            let pools = Pools::new();
            let (response, _connection) = reply_to(&pools, method, reply).await;
            assert!(response.body().is_end_stream(), "{reply:?}");
            assert_eq!(pools.idle(), 1, "{reply:?}");
            let body = response.into_body().collect().await.unwrap();
            assert!(body.to_bytes().is_empty());
        }
    });
}

#[test]
fn a_reply_that_comes_byte_by_byte_is_the_same() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.read_head().await;
            let reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\
                         \r\nx: 1\r\n\r\n3;a=b\r\nabc\r\n00000A\r\n0123456789\r\n0\r\nx-sum: 7\r\n\r\n";
            for byte in reply.as_bytes() {
                connection.0.write_all(std::slice::from_ref(byte)).await.unwrap();
                settle().await;
            }
            Some(connection)
        };
        let read = async {
            let lease = checkout(&pools, &upstream).await;
            let response = lease.send(get()).await.unwrap();
            assert_eq!(response.headers()["x"], "1");
            response.into_body().collect().await.unwrap()
        };
        let serve = async { play(upstream.accept().await).await };
        let (body, _connection) = tokio::join!(read, serve);
        assert_eq!(body.trailers().unwrap()["x-sum"], "7");
        assert_eq!(body.to_bytes(), "abc0123456789");
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn a_body_that_breaks_off_never_ends_cleanly() {
    on_worker(async {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in [
            "",
            "5\r\nab",
            "2\r\nab",
            "2\r\nab\r\n",
            "2\r\nab\r\n0\r\n",
            "2\r\nab\r\n0\r\nx: 1\r\n",
        ] {
            let (response, connection) =
                reply_to(&Pools::new(), Method::GET, &format!("{chunked}{body}")).await;
            drop(connection);
            let error = response.into_body().collect().await.unwrap_err();
            let failure = UpstreamFailure::from(&error);
            let text = "the connection ended before the body";
            assert_eq!(failure, UpstreamFailure::BodyBroken(text.to_owned()), "{body:?}");
        }
        for garbage in ["x\r\n", "-1\r\n", "2\r\nabc\r\n", "2\nab\n0\n\n", "fffffffffffffffff\r\n"]
        {
            let pools = Pools::new();
            let (response, _connection) =
                reply_to(&pools, Method::GET, &format!("{chunked}{garbage}")).await;
            response.into_body().collect().await.unwrap_err();
            assert_eq!(pools.idle(), 0, "{garbage:?}");
        }
    });
}

#[test]
fn a_body_that_was_told_to_be_broken_says_no_more() {
    on_worker(async {
        let reply = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
        let (response, connection) = reply_to(&Pools::new(), Method::GET, reply).await;
        drop(connection);
        let mut body = response.into_body();
        assert_eq!(body.size_hint().exact(), Some(9));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
        assert!(!body.is_end_stream());
    });
}

#[test]
fn more_than_the_reply_spends_the_connection() {
    on_worker(async {
        for reply in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n?",
            "HTTP/1.1 204 No Content\r\n\r\nx",
        ] {
            let (pools, upstream) = (Pools::new(), Played::start().await);
            let mut connection = exchange_ok(&pools, &upstream, reply).await;
            assert_eq!(pools.idle(), 0, "{reply:?}");
            assert!(connection.is_closed().await);
        }
    });
}

#[test]
fn a_large_reply_streams_in_pieces() {
    on_worker(async {
        const SIZE: usize = 64 << 20;
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease = checkout(&pools, &upstream).await;
        let mut connection = upstream.accept().await;
        let serve = async {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
            connection.answer(&head).await;
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            for _ in 0..SIZE / piece.len() {
                connection.0.write_all(&piece).await.unwrap();
            }
        };
        let read = async {
            let mut body = lease.send(get()).await.unwrap().into_body();
            let (mut total, mut largest) = (0, 0);
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                total += data.len();
                largest = largest.max(data.len());
            }
            (total, largest)
        };
        let ((total, largest), ()) = tokio::join!(read, serve);
        assert_eq!(total, SIZE);
        assert!(largest <= 256 << 10, "{largest} bytes at once");
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn an_upstream_waits_for_whoever_does_not_read_the_reply() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 200 OK\r\n\r\n").await;
            Some(connection)
        };
        let (response, connection) = exchange(&pools, &upstream, get(), play).await;
        let piece = vec![b'x'; 1 << 20];
        let mut connection = connection.unwrap();
        tokio::time::pause();
        let stuck = async {
            for _ in 0..128 {
                connection.0.write_all(&piece).await.unwrap();
            }
        };
        let patience = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(patience, stuck).await.is_err(), "128 MiB went nowhere");
        drop(response);
    });
}
