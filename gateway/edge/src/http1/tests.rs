//! Whole connections, in memory.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use portcullis_message::Body;
use portcullis_telemetry::EdgeCounts;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::activity::OpenRequest;
use crate::clock::{Clock, Stage};
use crate::panics::caught;
use crate::requests::{complete, counted};

struct Server {
    clock: Rc<Clock>,
    activity: Rc<Activity>,
}

impl Server {
    fn new() -> Self {
        let clock = Rc::new(Clock::default());
        Server { activity: Activity::for_test(clock.clone()), clock }
    }

    /// Serves until the connection ends; each request is answered with its own body.
    async fn serve(&self, io: DuplexStream, read_ahead: &'static str) {
        let service = |request: Request<Body>| {
            let open = OpenRequest::for_test(&self.activity);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                counted(Response::new(Full::new(body)), open)
            }
        };
        let read_ahead = Bytes::from_static(read_ahead.as_bytes());
        let arrived = Arrived { io, read_ahead, reset: |_| {}, left: |_| false };
        let (bench, activity) = (Rc::default(), self.activity.clone());
        let connection = async { drop(serve(arrived, bench, activity, service, |_| {}).await) };
        self.activity.attend(connection).await;
    }
}

async fn ask(client: &mut DuplexStream, body: &str) {
    let request =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    client.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until what came ends so.
async fn read_until(client: &mut DuplexStream, end: &str) {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "ended early");
    }
}

async fn read_to_end(client: &mut DuplexStream) -> String {
    let mut read = String::new();
    client.read_to_string(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn what_was_read_ahead_is_served() {
    let (server, (io, mut client)) = (Server::new(), tokio::io::duplex(1024));
    let talk = async {
        client.write_all(b"ost: a\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        read_until(&mut client, "\r\n\r\nhi").await;
        drop(client);
    };
    tokio::join!(server.serve(io, "POST / HTTP/1.1\r\nh"), talk);
}

#[tokio::test]
async fn closing_ends_an_idle_connection_but_not_a_request() {
    let (server, (io, mut client)) = (Server::new(), tokio::io::duplex(1024));
    let talk = async {
        ask(&mut client, "one").await;
        read_until(&mut client, "one").await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n").await.unwrap();
        while !server.activity.is_reading_head() {
            tokio::task::yield_now().await;
        }
        server.clock.advance(Stage::Closing);
        server.activity.wake();
        tokio::task::yield_now().await;
        client.write_all(b"\r\ntwo").await.unwrap();
        let last = read_to_end(&mut client).await;
        assert!(last.ends_with("two"), "{last}");
    };
    tokio::join!(server.serve(io, ""), talk);
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_asked() {
    let (server, (io, mut client)) = (Server::new(), tokio::io::duplex(1024));
    let talk = async {
        ask(&mut client, "one").await;
        read_until(&mut client, "one").await;
        server.activity.finish();
        assert_eq!(read_to_end(&mut client).await, "");
    };
    tokio::join!(server.serve(io, ""), talk);
}

#[tokio::test]
async fn a_cut_connection_ends_in_mid_head() {
    let (server, (io, mut client)) = (Server::new(), tokio::io::duplex(1024));
    let talk = async {
        client.write_all(b"GET / HT").await.unwrap();
        tokio::task::yield_now().await;
        server.activity.cut();
        assert_eq!(read_to_end(&mut client).await, "");
    };
    tokio::join!(server.serve(io, ""), talk);
}

#[tokio::test]
async fn a_head_above_64_kib_is_refused() {
    let (server, (io, mut client)) = (Server::new(), tokio::io::duplex(256 * 1024));
    let talk = async {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(70_000));
        client.write_all(head.as_bytes()).await.unwrap();
        let reply = read_to_end(&mut client).await;
        assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
        drop(client);
    };
    tokio::join!(server.serve(io, ""), talk);
}

impl MayTunnel for Full<Bytes> {}

impl MayTunnel for Pieces {}

/// A body of pieces, of unknown length; `None` breaks it off.
struct Pieces(std::collections::VecDeque<Option<Frame<Bytes>>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|frame| frame.ok_or_else(|| io::Error::other("broke off"))))
    }
}

fn data(bytes: &'static str) -> Option<Frame<Bytes>> {
    Some(Frame::data(Bytes::from_static(bytes.as_bytes())))
}

fn trailers() -> Option<Frame<Bytes>> {
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", http::HeaderValue::from_static("1"));
    Some(Frame::trailers(fields))
}

/// What a client reads that sends this and is answered with such a body, until the connection ends.
async fn answered(request: &str, pieces: Vec<Option<Frame<Bytes>>>) -> String {
    let (io, mut client) = tokio::io::duplex(1024);
    let mut pieces = Some(Pieces(pieces.into()));
    let service = |_: Request<Body>| {
        let response = Response::new(pieces.take().expect("one request"));
        async { response }
    };
    let arrived = Arrived { io, read_ahead: Bytes::new(), reset: |_| {}, left: |_| false };
    let activity = Activity::for_test(Rc::new(Clock::default()));
    let serving = async { drop(serve(arrived, Rc::default(), activity, service, |_| {}).await) };
    let talk = async {
        client.write_all(request.as_bytes()).await.unwrap();
        let read = read_to_end(&mut client).await;
        drop(client);
        read
    };
    tokio::join!(serving, talk).1
}

const LAST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const LAST_WITH_TRAILERS: &str =
    "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_body_of_unknown_length_comes_in_chunks() {
    let read = answered(LAST, vec![data("hello"), data(""), data(", you"), trailers()]).await;
    assert!(read.contains("\r\ntransfer-encoding: chunked\r\nconnection: close\r\n"), "{read}");
    assert!(read.ends_with("\r\n\r\n5\r\nhello\r\n5\r\n, you\r\n0\r\n\r\n"), "{read}");
}

#[tokio::test]
async fn trailers_are_for_who_takes_them() {
    let read = answered(LAST_WITH_TRAILERS, vec![data("hello"), trailers()]).await;
    assert!(read.ends_with("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{read}");
}

#[tokio::test]
async fn http_1_0_gets_a_body_until_the_end() {
    let read = answered("GET / HTTP/1.0\r\n\r\n", vec![data("hello"), data(", you")]).await;
    assert!(!read.contains("chunked") && read.contains("connection: close"), "{read}");
    assert!(read.ends_with("\r\n\r\nhello, you"), "{read}");
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_whole() {
    let large: &'static str = Box::leak("x".repeat(8000).into_boxed_str());
    let read = answered(LAST, vec![data(large), None]).await;
    assert!(!read.ends_with("0\r\n\r\n"), "{read}");
}

#[tokio::test]
async fn head_gets_no_body() {
    let request = "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let read = answered(request, vec![data("hello")]).await;
    assert!(read.starts_with("HTTP/1.1 200 OK\r\n") && read.ends_with("\r\n\r\n"), "{read}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_drained_within_reason() {
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    for (length, replies) in [(10, 2), (60_000, 2), (70_000, 1)] {
        let (io, mut client) = tokio::io::duplex(256 << 10);
        let service = |_: Request<Body>| async { Response::new(Full::new(Bytes::new())) };
        let arrived = Arrived { io, read_ahead: Bytes::new(), reset: |_| {}, left: |_| false };
        let activity = Activity::for_test(Rc::new(Clock::default()));
        let serving =
            async { drop(serve(arrived, Rc::default(), activity, service, |_| {}).await) };
        let talk = async {
            client.write_all((post(length) + LAST).as_bytes()).await.unwrap();
            let read = read_to_end(&mut client).await;
            drop(client);
            read
        };
        let read = tokio::join!(serving, talk).1;
        assert_eq!(read.matches("HTTP/1.1 200 OK").count(), replies, "{length}: {read}");
        assert!(read.contains("connection: close"), "{read}");
    }
}

#[tokio::test]
async fn a_request_that_panics_is_500_and_the_connection_goes_on() {
    let (io, mut client) = tokio::io::duplex(1024);
    let activity = Activity::for_test(Rc::new(Clock::default()));
    let (counts, open_for) = (EdgeCounts::default(), activity.clone());
    let service = |request: Request<Body>| {
        let (open, counts) = (OpenRequest::for_test(&open_for), &counts);
        let answering = caught(async move {
            assert_ne!(request.uri().path(), "/panic");
            Response::new(Full::new(Bytes::from_static(b"fine")))
        });
        async move { complete(answering.await, counts, open) }
    };
    let arrived = Arrived { io, read_ahead: Bytes::new(), reset: |_| {}, left: |_| false };
    let connection = serve(arrived, Rc::default(), activity.clone(), service, |_| {});
    let talk = async {
        client.write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 500");
        read_until(&mut client, "\r\n\r\n").await;
        client.write_all(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut client, "\r\n\r\nfine").await;
        drop(client);
    };
    let (outcome, ()) = tokio::join!(connection, talk);
    outcome.unwrap();
}
