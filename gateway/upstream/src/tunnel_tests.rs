//! Connections that leave HTTP, and those that must not.

use http::Request;
use portcullis_message::Upgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::exchange_tests::{exchange, get};
use crate::test_upstream::{Played, PlayedConnection, on_worker};
use crate::{Pools, RequestBody, UpstreamFailure};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n";

fn upgrade() -> Request<RequestBody> {
    let mut request = get();
    request.extensions_mut().insert(Upgrade::Http1);
    request
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_is_never_pooled() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let mut heads = Vec::new();
        let play = async |mut connection: PlayedConnection| {
            let head = connection.answer(&format!("{SWITCHED}early")).await;
            heads.push(head);
            Some(connection)
        };
        let (response, far) = exchange(&pools, &upstream, upgrade(), play).await;
        let (head, mut far) = (heads.remove(0), far.unwrap());
        assert!(head.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
        let response = response.unwrap();
        assert_eq!(response.status(), 101);
        let mut near = response.into_body().into_tunnel().unwrap();
        near.write_all(b"up").await.unwrap();
        near.shutdown().await.unwrap();
        let mut up = Vec::new();
        far.0.read_to_end(&mut up).await.unwrap();
        assert_eq!(up, b"up");
        far.write(" and late").await;
        drop(far);
        let mut down = Vec::new();
        near.read_to_end(&mut down).await.unwrap();
        assert_eq!(down, b"early and late");
        assert_eq!((upstream.endpoint().active(), upstream.endpoint().connections()), (1, 1));
        drop(near);
        assert_eq!((upstream.endpoint().active(), upstream.endpoint().connections()), (0, 0));
        assert_eq!(pools.idle(), 0);
    });
}

#[test]
fn only_what_was_asked_for_is_switched_to() {
    on_worker(async {
        let other = SWITCHED.replace("websocket", "h2c");
        let old = SWITCHED.replace("HTTP/1.1", "HTTP/1.0");
        let unsaid = SWITCHED.replace("connection: Upgrade\r\n", "");
        for (request, reply) in [
            (get(), SWITCHED),
            (upgrade(), &other),
            (upgrade(), &old),
            (upgrade(), &unsaid),
            (upgrade(), "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ] {
            let (pools, upstream) = (Pools::new(), Played::start().await);
            let play = async |mut connection: PlayedConnection| {
                connection.answer(reply).await;
                Some(connection)
            };
            let (response, far) = exchange(&pools, &upstream, request, play).await;
            let failure = response.err().unwrap().cause().clone();
            assert!(matches!(failure, UpstreamFailure::Protocol(_)), "{reply:?}: {failure:?}");
            assert!(far.unwrap().is_closed().await);
        }
    });
}

#[test]
fn a_refused_upgrade_leaves_the_connection_to_the_next() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let play = async |mut connection: PlayedConnection| {
            connection.answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
            Some(connection)
        };
        let (response, _far) = exchange(&pools, &upstream, upgrade(), play).await;
        assert_eq!(response.unwrap().status(), 403);
        assert_eq!(pools.idle(), 1);
    });
}
