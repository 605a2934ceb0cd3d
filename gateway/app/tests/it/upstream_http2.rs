//! HTTP/2 to upstreams: gRPC end to end, what upstreams refuse, and what bad ones do.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use portcullis_testkit::manifests::{http_gateway, join, service_entry, virtual_service};
use portcullis_testkit::{
    Call, Client, FrameConnection, FrameUpstream, TestBody, Upstream, frame, websocket_handshake,
};

use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

/// What a request for `/a?b=c` asks an upstream of HTTP/2 for.
const URL: &str = "http://shop.example/a?b=c";

/// The manifests that send everything to endpoints which speak HTTP/2.
fn manifests(endpoints: &[SocketAddr]) -> String {
    let entry = service_entry("blue", "blue.example", 80, endpoints);
    let entry = entry.replace("protocol: HTTP}", "protocol: HTTP2}");
    join(&[shop::manifests(TO_BLUE), entry])
}

async fn in_front_of(endpoints: &[SocketAddr]) -> (Gateway, Client) {
    let gateway = Gateway::start(&manifests(endpoints)).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

#[tokio::test]
async fn a_port_that_says_http2_is_spoken_to_so() {
    let blue = Upstream::start_http2("blue");
    let (gateway, mut client) = in_front_of(&[blue.address()]).await;
    let call = Call::post(HOST, "/a?b=c", "hello").header("x-one", "1");
    let seen = client.call(call).await.json();
    assert_eq!(seen["version"], "HTTP/2.0");
    assert_eq!((&seen["path"], &seen["method"]), (&URL.into(), &"POST".into()));
    assert_eq!((&seen["body"], &seen["headers"]["x-one"]), (&"hello".into(), &"1".into()));
    let mut h2 = Client::h2c(gateway.address("http")).await.unwrap();
    let seen = h2.call(Call::post(HOST, "/", "over HTTP/2")).await.json();
    assert_eq!(seen["body"], "over HTTP/2");
    let head = client.call(Call::new("HEAD", HOST, "/")).await;
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(client.get(HOST, "/status/204").await.status, 204);
    assert_eq!(client.get(HOST, "/stream/3").await.body.len(), 3 << 20);
    assert_eq!(client.call(Call::post(HOST, "/early", "refused")).await.status, 413);
}

#[tokio::test]
async fn requests_at_a_time_share_a_connection() {
    let blue = Upstream::start_http2("blue");
    let gateway = Gateway::start_with(&manifests(&[blue.address()]), &["--workers", "1"]).await;
    let client = Client::h2c(gateway.address("http")).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..20 {
        let mut client = Client::h2c(gateway.address("http")).await.unwrap();
        calls.push(tokio::spawn(async move { client.get(HOST, "/slow").await.status }));
    }
    blue.until(|seen| seen.held == 20).await;
    assert_eq!(blue.seen().connections, 1);
    blue.release();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    drop(client);
}

#[tokio::test]
async fn a_cluster_may_be_spoken_to_by_what_its_client_speaks() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start_http2("green"));
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: NAME}\n\
                spec:\n  host: NAME.example\n  trafficPolicy:\n    connectionPool: {http: {useClientProtocol: true}}\n";
    let rules = "- match: [{uri: {prefix: /blue}}]\n  route:\n  - destination: {host: blue.example}\n\
                 - route:\n  - destination: {host: green.example}\n";
    let manifests = join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], rules),
        service_entry("blue", "blue.example", 80, &[blue.address()]),
        service_entry("green", "green.example", 80, &[green.address()]),
        rule.replace("NAME", "blue"),
        rule.replace("NAME", "green"),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let mut http1 = Client::http1(gateway.address("http")).await.unwrap();
    let mut http2 = Client::h2c(gateway.address("http")).await.unwrap();
    assert_eq!(http1.get(HOST, "/blue").await.json()["version"], "HTTP/1.1");
    assert_eq!(http2.get(HOST, "/green").await.json()["version"], "HTTP/2.0");
}

#[tokio::test]
async fn trailers_pass_both_ways_and_a_head_alone_stays_one() {
    let upstream = FrameUpstream::start().await;
    let (gateway, _) = in_front_of(&[upstream.address()]).await;
    let mut client = Client::h2c(gateway.address("http")).await.unwrap();
    let call = Call::post(HOST, "/grpc.Service/Call", "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .trailer("x-sum", "42")
        .accept_trailers();
    let (reply, mut played) = tokio::join!(client.call(call), async {
        let mut played = upstream.accept().await;
        let stream = played.next_request().await;
        let sum = played.next_where(|each| each.kind == frame::HEADERS).await.unwrap();
        assert_eq!(sum.flags & frame::END_STREAM, frame::END_STREAM);
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        played.reply(stream, &head, 0).await.unwrap();
        played.send(frame::DATA, 0, stream, b"\0\0\0\0\0").await.unwrap();
        played.reply(stream, &[("grpc-status", "0")], frame::END_STREAM).await.unwrap();
        played
    });
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    let call = Call::post(HOST, "/grpc.Service/Call", "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .accept_trailers();
    let (reply, ()) = tokio::join!(client.call(call), async {
        let stream = played.next_request().await;
        let head = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")];
        played.reply(stream, &head, frame::END_STREAM).await.unwrap();
    });
    assert!(reply.body.is_empty() && reply.trailers.is_none());
    assert_eq!(reply.header("grpc-status"), "5");
}

#[tokio::test]
async fn a_stream_of_both_sides_is_passed_on_as_it_comes() {
    let upstream = FrameUpstream::start().await;
    let (gateway, _) = in_front_of(&[upstream.address()]).await;
    let mut client = Client::h2c(gateway.address("http")).await.unwrap();
    let (writer, body) = TestBody::written();
    let call = Call::post(HOST, "/grpc.Service/Chat", body)
        .header("content-type", "application/grpc")
        .accept_trailers();
    let (response, mut played) = tokio::join!(client.open(call), async {
        let mut played = upstream.accept().await;
        let stream = played.next_request().await;
        played.reply(stream, &[(":status", "200")], 0).await.unwrap();
        played
    });
    let mut reply = response.unwrap().into_body();
    for turn in 0..10_u8 {
        writer.send(Ok(vec![turn; 10].into())).await.unwrap();
        let data = played.next_where(|each| each.kind == frame::DATA).await.unwrap();
        assert_eq!(data.payload, [turn; 10]);
        played.send(frame::DATA, 0, 1, &[turn; 5]).await.unwrap();
        let data = reply.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data[..], [turn; 5]);
    }
    drop(writer);
    let last = played.next_where(|each| each.flags & frame::END_STREAM != 0).await;
    assert!(last.is_some());
    played.reply(1, &[("grpc-status", "0")], frame::END_STREAM).await.unwrap();
    let trailers = reply.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn what_an_upstream_refuses_is_sent_again_even_a_post() {
    let upstream = FrameUpstream::start().await;
    let (_gateway, mut client) = in_front_of(&[upstream.address()]).await;
    let (reply, ()) = tokio::join!(client.call(Call::post(HOST, "/", "once")), async {
        let mut played = upstream.accept().await;
        let refused = played.next_request().await;
        let code = frame::REFUSED_STREAM.to_be_bytes();
        played.send(frame::RST_STREAM, 0, refused, &code).await.unwrap();
        let stream = played.next_request().await;
        let data = played.next_where(|each| each.kind == frame::DATA && each.stream == stream);
        assert_eq!(data.await.unwrap().payload, b"once");
        played.reply(stream, &[(":status", "204")], frame::END_STREAM).await.unwrap();
    });
    assert_eq!(reply.status, 204);
}

#[tokio::test]
async fn a_restart_by_goaway_costs_no_request() {
    let upstream = FrameUpstream::start().await;
    let (_gateway, mut client) = in_front_of(&[upstream.address()]).await;
    for _ in 0..5 {
        let (reply, ()) = tokio::join!(client.call(Call::post(HOST, "/", "hello")), async {
            // Leaves the request out, and goes.
            let mut leaving = upstream.accept().await;
            leaving.next_request().await;
            leaving.send(frame::GOAWAY, 0, 0, &[0; 8]).await.unwrap();
            let mut other = upstream.accept().await;
            let stream = other.next_request().await;
            other.reply(stream, &[(":status", "200")], frame::END_STREAM).await.unwrap();
            other.send(frame::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await.unwrap();
        });
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn a_post_that_was_looked_at_is_never_sent_again() {
    let upstream = FrameUpstream::start().await;
    let (mut gateway, mut client) = in_front_of(&[upstream.address()]).await;
    let (reply, mut played) = tokio::join!(client.call(Call::post(HOST, "/", "once")), async {
        let mut played = upstream.accept().await;
        let stream = played.next_request().await;
        played.send(frame::RST_STREAM, 0, stream, &2_u32.to_be_bytes()).await.unwrap();
        played
    });
    assert_eq!(reply.status, 502);
    let line = gateway.access_line().await;
    assert!(line.contains("INTERNAL_ERROR"), "the reason is told: {line}");
    // What comes next on this connection is another request.
    let (reply, path) = tokio::join!(client.get(HOST, "/next"), async {
        let head = played.next_where(|each| each.kind == frame::HEADERS).await.unwrap();
        played.reply(head.stream, &[(":status", "200")], frame::END_STREAM).await.unwrap();
        head.stream
    });
    assert_eq!((reply.status.as_u16(), path), (200, 3));
}

#[tokio::test]
async fn a_websocket_goes_by_http1() {
    let upstream = portcullis_testkit::WebSocketUpstream::start().await;
    let (gateway, _) = in_front_of(&[upstream.address]).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address("http")).await.unwrap();
    let head = websocket_handshake(HOST, "/chat");
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 101");
}

/// What a client gets of an upstream that answers a GET like this, and what the log says.
async fn answered(
    play: impl AsyncFnOnce(&mut FrameConnection, u32),
) -> (Result<(u16, usize), String>, String) {
    let upstream = FrameUpstream::start().await;
    let rule = "- route:\n  - destination: {host: blue.example}\n  retries: {attempts: 0}\n";
    let entry = service_entry("blue", "blue.example", 80, &[upstream.address()]);
    let entry = entry.replace("protocol: HTTP}", "protocol: HTTP2}");
    let mut gateway = Gateway::start(&join(&[shop::manifests(rule), entry])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let (reply, _open) = tokio::join!(client.try_call(Call::get(HOST, "/")), async {
        let mut played = upstream.accept().await;
        let stream = played.next_request().await;
        play(&mut played, stream).await;
        played
    });
    let told = reply.map(|reply| (reply.status.as_u16(), reply.body.len()));
    (told.map_err(|error| error.to_string()), gateway.access_line().await)
}

#[tokio::test]
async fn bad_upstreams_are_told_from_bad_gateways() {
    let head = [(":status", "200")];
    let five = [(":status", "200"), ("content-length", "5")];
    // Nothing of a reply was passed on: the client gets an honest answer.
    let (told, line) = answered(async |played, stream| {
        played.send(frame::PING, 0, 0, &[0; 7]).await.unwrap();
        let _gone = played.reply(stream, &head, frame::END_STREAM).await;
    })
    .await;
    assert_eq!(told.unwrap().0, 502, "{line}");
    let (told, line) = answered(async |played, stream| {
        played.reply(stream, &[(":status", "101")], 0).await.unwrap();
    })
    .await;
    assert_eq!(told.unwrap().0, 502, "{line}");
    let (told, line) = answered(async |played, stream| {
        for _ in 0..17 {
            played.reply(stream, &[(":status", "103")], 0).await.unwrap();
        }
    })
    .await;
    assert_eq!(told.unwrap().0, 502, "{line}");
    let (told, line) = answered(async |played, _| {
        let large = vec![0; 16 << 10];
        played.send(frame::HEADERS, 0, 1, &large).await.unwrap();
        for _ in 0..64 {
            if played.send(frame::CONTINUATION, 0, 1, &large).await.is_err() {
                break;
            }
        }
    })
    .await;
    assert_eq!(told.unwrap().0, 502, "{line}");
    // The head had gone: the client is not left with what looks whole.
    for (head, data, end) in
        [(&five[..], &b"four"[..], frame::END_STREAM), (&five[..], b"sixsix", 0)]
    {
        let (told, line) = answered(async |played, stream| {
            played.reply(stream, head, 0).await.unwrap();
            played.send(frame::DATA, end, stream, data).await.unwrap();
        })
        .await;
        assert!(told.is_err(), "{told:?}");
        assert!(line.contains("upstream_reset_after_response_started"), "{line}");
    }
    let (told, line) = answered(async |played, stream| {
        played.reply(stream, &head, 0).await.unwrap();
        played.send(frame::DATA, 0, stream, b"cut").await.unwrap();
        played.send(frame::RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await.unwrap();
    })
    .await;
    assert!(told.is_err(), "{told:?}");
    assert!(line.contains("upstream_reset_after_response_started"), "{line}");
}

#[tokio::test]
async fn a_flood_ends_the_connection_and_the_next_request_gets_another() {
    let upstream = FrameUpstream::start().await;
    let (_gateway, mut client) = in_front_of(&[upstream.address()]).await;
    let (reply, ()) = tokio::join!(client.call(Call::post(HOST, "/", "once")), async {
        let mut played = upstream.accept().await;
        played.next_request().await;
        for _ in 0..1_000 {
            if played.send(frame::PING, 0, 0, &[0; 8]).await.is_err() {
                break;
            }
        }
    });
    assert_eq!(reply.status, 502);
    let (reply, ()) = tokio::join!(client.get(HOST, "/"), async {
        let mut played = upstream.accept().await;
        let stream = played.next_request().await;
        played.reply(stream, &[(":status", "200")], frame::END_STREAM).await.unwrap();
    });
    assert_eq!(reply.status, 200);
}
