//! Request bodies that arrive while they are sent: a played client's side feeds a played upstream.

use http::{Method, Request};
use http_body_util::BodyExt;
use portcullis_message::Body;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::http1::{Http1, read_reply};
use crate::test_upstream::{Played, PlayedConnection, on_worker};
use crate::{Pools, RequestBody, SendError, UpstreamFailure};

/// A body that the test writes on the other end of a connection, chunk by chunk.
struct Uploading {
    client: PlayedConnection,
    body: Body,
    _connection: Http1,
}

impl Uploading {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut client = PlayedConnection(listener.accept().await.unwrap().0);
        let mut connection = Http1::open(stream).await.unwrap();
        let request = Request::builder().uri("/").body(RequestBody::new(Body::Empty)).unwrap();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let (reply, _) = tokio::join!(connection.send(request), client.answer(head));
        let body = read_reply(reply).unwrap().into_body();
        Uploading { client, body, _connection: connection }
    }
}

fn request(method: Method, body: Body, fields: &[(&str, &str)]) -> Request<RequestBody> {
    let mut request = Request::builder().method(method).uri("/upload").header("host", "a");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(RequestBody::new(body)).unwrap()
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
        let lease = pools.checkout(&upstream.cluster, upstream.endpoint()).await.unwrap();
        let mut connection = upstream.accept().await;
        let Uploading { mut client, body, _connection } = Uploading::start().await;
        let request = request(Method::GET, body, &[("trailer", "x-sum"), ("content-length", "9")]);
        let progress = request.body().progress().unwrap();
        let play = async {
            let head = connection.read_head().await;
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
            assert!(!head.contains("content-length"), "{head}");
            client.write("3\r\nabc\r\n").await;
            assert_eq!(read_until(&mut connection, "abc\r\n").await, "3\r\nabc\r\n");
            assert_eq!((progress.bytes(), progress.ended()), (3, false));
            client.write("0\r\nx-sum: 7\r\nx-not-announced: 1\r\n\r\n").await;
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
        let lease = pools.checkout(&upstream.cluster, upstream.endpoint()).await.unwrap();
        let mut connection = upstream.accept().await;
        let Uploading { client, body, _connection } = Uploading::start().await;
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
        let lease = pools.checkout(&upstream.cluster, upstream.endpoint()).await.unwrap();
        let mut connection = upstream.accept().await;
        let Uploading { client, body, _connection } = Uploading::start().await;
        let play = async {
            connection.read_head().await;
            drop(client);
        };
        let (response, ()) = tokio::join!(lease.send(request(Method::POST, body, &[])), play);
        match response {
            Err(SendError::Failed { cause }) => assert_eq!(cause, UpstreamFailure::RequestBody),
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
        let lease = pools.checkout(&upstream.cluster, upstream.endpoint()).await.unwrap();
        let mut connection = upstream.accept().await;
        let Uploading { mut client, body, _connection } = Uploading::start().await;
        let request = request(Method::POST, body, &[]);
        let progress = request.body().progress().unwrap();
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let play = async {
            connection.read_head().await;
            // The clock stands still while anything moves, so this ends when everything is full.
            tokio::time::pause();
            let stuck = async {
                for _ in 0..2_048 {
                    client.write(&piece).await;
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
