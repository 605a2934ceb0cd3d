//! `Expect: 100-continue`: the body waits until the upstream wants it.

use http::{HeaderValue, Method, Request};
use portcullis_message::{BodySender, Demand, body_channel};
use tokio::io::AsyncReadExt;

use crate::exchange_tests::{OK, exchange, settle, with_body};
use crate::test_upstream::{Played, PlayedConnection, on_worker};
use crate::{Pools, RequestBody};

fn expecting() -> (Request<RequestBody>, BodySender) {
    let (sender, body) = body_channel(Some(5));
    let mut request = with_body(Method::POST, body.into());
    request.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
    (request, sender)
}

async fn read_body(connection: &mut PlayedConnection) -> [u8; 5] {
    let mut body = [0; 5];
    connection.0.read_exact(&mut body).await.unwrap();
    body
}

/// Hands the body over once somebody asks for it.
async fn feed(mut sender: BodySender) {
    let demand = std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
    assert_eq!(demand, Demand::Frame);
    sender.send_last("hello".into());
}

#[test]
fn the_body_is_asked_for_when_the_upstream_wants_it() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (request, sender) = expecting();
        let play = async |mut connection: PlayedConnection| {
            let head = connection.read_head().await;
            assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
            settle().await;
            assert_eq!(sender.demand(), Demand::None);
            connection.write("HTTP/1.1 100 Continue\r\n\r\n").await;
            feed(sender).await;
            assert_eq!(&read_body(&mut connection).await, b"hello");
            connection.write(OK).await;
            Some(connection)
        };
        let (response, _connection) = exchange(&pools, &upstream, request, play).await;
        assert_eq!(response.unwrap().status(), 200);
    });
}

#[test]
fn a_refusal_comes_without_the_body_and_ends_the_connection() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (request, sender) = expecting();
        let play = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await;
            Some(connection)
        };
        let (response, connection) = exchange(&pools, &upstream, request, play).await;
        assert_eq!(response.unwrap().status(), 413);
        assert_eq!((sender.demand(), pools.idle()), (Demand::Gone, 0));
        assert!(connection.unwrap().is_closed().await);
    });
}

#[test]
fn an_upstream_that_says_nothing_gets_the_body_after_a_while() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let (request, sender) = expecting();
        let play = async |mut connection: PlayedConnection| {
            connection.read_head().await;
            tokio::time::pause();
            feed(sender).await;
            tokio::time::resume();
            assert_eq!(&read_body(&mut connection).await, b"hello");
            connection.write(OK).await;
            Some(connection)
        };
        let (response, _connection) = exchange(&pools, &upstream, request, play).await;
        assert_eq!(response.unwrap().status(), 200);
    });
}
