//! Request bodies that arrive while they are sent: the test feeds them, and plays the upstream.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt;
use portcullis_message::http1::{BodyDecoder, Decoded, Framing, HeadReader, Limits};
use portcullis_message::{Body, BodySender, Demand, body_channel};
use tokio::io::AsyncReadExt;

use crate::test_upstream::{Played, PlayedConnection, on_worker};
use crate::{Pools, RequestBody, SendError, Spoken, UpstreamFailure};

/// Waits until the upstream's side asks for more of a body.
async fn wanted(client: &mut BodySender) -> Demand {
    poll_fn(|cx| client.poll_demand(cx)).await
}

async fn send(client: &mut BodySender, data: impl Into<Bytes>) {
    assert_eq!(wanted(client).await, Demand::Frame);
    client.send(data.into());
}

fn trailers(names: &[&'static str]) -> HeaderMap {
    names
        .iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("7")))
        .collect()
}

fn request(method: Method, body: impl Into<Body>, fields: &[(&str, &str)]) -> Request<RequestBody> {
    let mut request = Request::builder().method(method).uri("/upload").header("host", "a");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(RequestBody::new(body.into())).unwrap()
}

/// Reads until the text ends so.
async fn read_until(connection: &mut PlayedConnection, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(connection.0.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn chunks_and_announced_trailers_reach_the_upstream() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(None);
        let request = request(Method::GET, body, &[("trailer", "x-sum"), ("content-length", "9")]);
        let progress = request.body().progress().unwrap();
        let play = async {
            let head = connection.read_head().await;
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
            assert!(!head.contains("content-length"), "{head}");
            send(&mut client, "abc").await;
            assert_eq!(read_until(&mut connection, "abc\r\n").await, "3\r\nabc\r\n");
            assert_eq!((progress.bytes(), progress.ended()), (3, false));
            client.send_trailers(trailers(&["x-sum", "x-not-announced", "host"]));
            let end = read_until(&mut connection, "\r\n\r\n").await;
            assert_eq!(end, "0\r\nx-sum: 7\r\n\r\n");
            connection.write(OK).await;
        };
        let (response, ()) = tokio::join!(lease.send(request), play);
        response.unwrap().into_body().collect().await.unwrap();
        assert!(progress.ended());
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn a_reply_before_the_end_of_the_upload_is_delivered_and_ends_the_upload() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (client, body) = body_channel(None);
        let request = request(Method::POST, body, &[]);
        let (response, _) = tokio::join!(lease.send(request), connection.answer(OK));
        let body = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "ok");
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
        assert!(connection.is_closed().await);
        drop(client);
    });
}

#[test]
fn a_client_that_leaves_mid_upload_is_not_the_upstreams_fault() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (client, body) = body_channel(None);
        let play = async {
            connection.read_head().await;
            drop(client);
        };
        let (response, ()) = tokio::join!(lease.send(request(Method::POST, body, &[])), play);
        match response {
            Err(SendError::Failed { cause, .. }) => assert_eq!(cause, UpstreamFailure::RequestBody),
            _ => panic!("the upstream cannot have answered"),
        }
        // Cut off, never completed: no last chunk.
        assert!(connection.is_closed().await);
    });
}

#[test]
fn an_upload_waits_for_an_upstream_that_does_not_read() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(None);
        let request = request(Method::POST, body, &[]);
        let progress = request.body().progress().unwrap();
        let piece = Bytes::from(vec![b'x'; 0x10000]);
        let play = async {
            connection.read_head().await;
            // The clock stands still while anything moves, so this ends when everything is full.
            tokio::time::pause();
            let stuck = async {
                for _ in 0..2_048 {
                    send(&mut client, piece.clone()).await;
                }
            };
            let patience = std::time::Duration::from_secs(1);
            assert!(tokio::time::timeout(patience, stuck).await.is_err(), "128 MiB went nowhere");
            progress.bytes()
        };
        let taken = tokio::select! {
            _ = lease.send(request) => panic!("nobody answered"),
            taken = play => taken,
        };
        assert!(taken < 64 << 20, "{taken} bytes were taken");
    });
}

#[test]
fn a_known_length_is_sent_with_its_bytes_unframed() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(Some(5));
        let play = async {
            let head = connection.read_head().await;
            assert!(head.contains("content-length: 5\r\n"), "{head}");
            send(&mut client, "he").await;
            assert_eq!(wanted(&mut client).await, Demand::Frame);
            client.send_last(Bytes::from_static(b"llo"));
            assert_eq!(read_until(&mut connection, "llo").await, "hello");
            connection.write(OK).await;
        };
        let (response, ()) = tokio::join!(lease.send(request(Method::PUT, body, &[])), play);
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn a_body_that_lies_about_its_length_is_never_completed() {
    on_worker(async {
        for last in ["l", "llo and more"] {
            let (pools, upstream) = (Pools::new(), Played::start().await);
            let lease = pools
                .checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1)
                .await
                .unwrap();
            let mut connection = upstream.accept().await;
            let (mut client, body) = body_channel(Some(5));
            let play = async {
                connection.read_head().await;
                send(&mut client, "he").await;
                assert_eq!(wanted(&mut client).await, Demand::Frame);
                client.send_last(Bytes::from_static(last.as_bytes()));
            };
            let (response, ()) = tokio::join!(lease.send(request(Method::PUT, body, &[])), play);
            let Err(SendError::Failed { cause, .. }) = response else { panic!("it was answered") };
            assert_eq!(cause, UpstreamFailure::RequestBody);
            let mut sent = Vec::new();
            connection.0.read_to_end(&mut sent).await.unwrap();
            assert_eq!(sent, b"he");
        }
    });
}

#[test]
fn an_upload_goes_on_while_the_reply_is_read() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(None);
        let play = async {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            connection.answer(head).await;
            for piece in ["one", "two"] {
                send(&mut client, piece).await;
                let chunk = format!("3\r\n{piece}\r\n");
                assert_eq!(read_until(&mut connection, &chunk).await, chunk);
                connection.write(&chunk).await;
            }
            assert_eq!(wanted(&mut client).await, Demand::Frame);
            client.finish();
            assert_eq!(read_until(&mut connection, "\r\n\r\n").await, "0\r\n\r\n");
            connection.write("0\r\n\r\n").await;
        };
        let echoed = async {
            let response = lease.send(request(Method::POST, body, &[])).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let (echoed, ()) = tokio::join!(echoed, play);
        assert_eq!(echoed, "onetwo");
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn an_early_refusal_ends_an_upload_that_still_comes() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(None);
        let play = async {
            connection.read_head().await;
            send(&mut client, "unread").await;
            assert_eq!(wanted(&mut client).await, Demand::Frame);
            connection.write("HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge").await;
            // Closed with bytes unread: a reset.
            drop(connection);
        };
        let (response, ()) = tokio::join!(lease.send(request(Method::POST, body, &[])), play);
        let response = response.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "large");
        assert_eq!(client.demand(), Demand::Gone);
        assert_eq!((pools.idle(), upstream.endpoint().connections()), (0, 0));
    });
}

/// Pieces of many sizes, the text of each its place in the whole.
fn pieces() -> Vec<Bytes> {
    let length = |index: usize| 1 + index * 7_919 % 200_000;
    (0..200).map(|index| format!("{index},").repeat(length(index) / 4 + 1).into()).collect()
}

/// Reads a request with the codec, in sips that leave the sender waiting.
async fn read_request(connection: &mut PlayedConnection) -> (Framing, Vec<u8>, Option<HeaderMap>) {
    let mut buffer = BytesMut::new();
    let mut heads = HeadReader::default();
    let head = loop {
        connection.0.read_buf(&mut buffer).await.unwrap();
        if let Some(head) = heads.request(&mut buffer, &Limits::REQUEST).unwrap() {
            break head;
        }
    };
    let (mut decoder, mut body) = (BodyDecoder::new(head.framing), Vec::new());
    loop {
        match decoder.decode(&mut buffer).unwrap() {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(trailers) => return (head.framing, body, Some(trailers)),
            Decoded::End => return (head.framing, body, None),
            Decoded::NeedMore => {
                tokio::task::yield_now().await;
                buffer.reserve(5_000);
                connection.0.read_buf(&mut buffer).await.unwrap();
            }
        }
    }
}

#[test]
fn a_large_upload_arrives_as_it_was() {
    on_worker(async {
        let (whole, length) = (pieces().concat(), pieces().concat().len());
        for known in [None, Some(length as u64)] {
            let (pools, upstream) = (Pools::new(), Played::start().await);
            let lease = pools
                .checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1)
                .await
                .unwrap();
            let mut connection = upstream.accept().await;
            let (mut client, body) = body_channel(known);
            let feed = async {
                for piece in pieces() {
                    send(&mut client, piece).await;
                }
                assert_eq!(wanted(&mut client).await, Demand::Frame);
                client.send_trailers(trailers(&["x-sum"]));
            };
            let play = async {
                let request = read_request(&mut connection).await;
                connection.write(OK).await;
                request
            };
            let fields: &[_] = if known.is_none() { &[("trailer", "x-sum")] } else { &[] };
            let request = request(Method::POST, body, fields);
            let (response, (), (framing, body, trailers)) =
                tokio::join!(lease.send(request), feed, play);
            assert_eq!(framing.length(), known);
            assert!(body == whole);
            assert_eq!(trailers.is_some(), known.is_none());
            response.unwrap().into_body().collect().await.unwrap();
            assert_eq!(pools.idle(), 1);
        }
    });
}

#[test]
fn a_length_that_is_reached_is_a_whole_request() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (mut client, body) = body_channel(Some(2));
        let play = async {
            send(&mut client, "hi").await;
            read_until(&mut connection, "hi").await;
            // The client has not said yet that this was all.
            connection.write(OK).await;
        };
        let (response, ()) = tokio::join!(lease.send(request(Method::POST, body, &[])), play);
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(pools.idle(), 1);
        drop(client);
    });
}

#[test]
fn a_reply_that_has_begun_outlives_the_upload() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Played::start().await);
        let lease =
            pools.checkout(&upstream.cluster, upstream.endpoint(), Spoken::Http1).await.unwrap();
        let mut connection = upstream.accept().await;
        let (client, body) = body_channel(None);
        let play = connection.answer("HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\n");
        let request = request(Method::POST, body, &[]);
        let (response, _) = tokio::join!(lease.send(request), play);
        let body = response.unwrap().into_body();
        drop(client);
        let (body, ()) = tokio::join!(body.collect(), connection.write("large"));
        assert_eq!(body.unwrap().to_bytes(), "large");
        assert_eq!(pools.idle(), 0);
        // Never completed.
        assert!(connection.is_closed().await);
    });
}
