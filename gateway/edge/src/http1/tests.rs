//! Whole connections, in memory.

use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use portcullis_message::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::activity::OpenRequest;
use crate::clock::{Clock, Stage};
use crate::requests::counted;

struct Server {
    clock: Rc<Clock>,
    activity: Rc<Activity>,
}

impl Server {
    fn new() -> Self {
        let clock = Rc::new(Clock::default());
        Server { activity: Activity::new(clock.clone()), clock }
    }

    /// Serves until the connection ends; each request is answered with its own body.
    async fn serve(&self, io: DuplexStream, read_ahead: &'static str) {
        let service = |request: Request<Body>| {
            let open = OpenRequest::begin(&self.activity);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                counted(Response::new(Full::new(body)), open)
            }
        };
        let arrived = Arrived { io, read_ahead: Bytes::from_static(read_ahead.as_bytes()) };
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
