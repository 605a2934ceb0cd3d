//! HTTP/2 exchanges against an upstream that is played frame by frame.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_message::{Body, body_channel};

use crate::exchange_tests::{get, settle, with_body};
use crate::test_http2::{Http2Upstream, frame};
use crate::test_upstream::on_worker;
use crate::{Heard, Pools, RequestBody, SendError, UpstreamFailure};

#[test]
fn requests_share_a_connection_and_counts_come_back_to_zero() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let play = async {
            let mut played = upstream.accept().await;
            let (first, second) = (played.request().await, played.request().await);
            assert_eq!((first, second), (1, 3));
            played.reply(second, b"second").await;
            played.reply(first, b"first").await;
            played
        };
        let ask = async || {
            let response = upstream.send(&pools, get()).await.unwrap();
            assert_eq!(upstream.endpoint.connections(), 1);
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let (one, other, mut played) = tokio::join!(ask(), ask(), play);
        assert_eq!((&one[..], &other[..]), (&b"first"[..], &b"second"[..]));
        assert_eq!((upstream.endpoint.active(), upstream.endpoint.connections()), (0, 1));
        assert_eq!(pools.idle(), 1);
        let lease = upstream.checkout(&pools).await.unwrap();
        assert!(lease.reused() && lease.local_address().is_some());
        drop(lease);
        pools.close_idle();
        let goaway = played.next_of(frame::GOAWAY).await;
        assert_eq!(goaway.payload[4..], [0, 0, 0, 0]);
        assert!(played.is_closed().await);
        settle().await;
        assert_eq!(upstream.endpoint.connections(), 0);
    });
}

#[test]
fn a_body_goes_out_and_trailers_come_back() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let play = async {
            let mut played = upstream.accept().await;
            let head = played.next_of(frame::HEADERS).await;
            assert!(!head.ends());
            let data = played.next_of(frame::DATA).await;
            assert!(data.ends());
            assert_eq!(data.payload, b"hello");
            played.head(1, &[(":status", "200")], 0).await;
            played.send(frame::DATA, 0, 1, b"world").await;
            let trailers = [("grpc-status", "0"), ("content-length", "3")];
            played.head(1, &trailers, frame::END_STREAM).await;
            played
        };
        let body = Bytes::from_static(b"hello").into();
        let (response, _played) =
            tokio::join!(upstream.send(&pools, with_body(Method::POST, body)), play);
        let collected = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap(), &trailers_of("grpc-status", "0"));
        assert_eq!(collected.to_bytes(), "world");
    });
}

fn trailers_of(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
}

#[test]
fn trailers_only_have_no_body() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let play = async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            let fields = [(":status", "200"), ("grpc-status", "12")];
            played.head(stream, &fields, frame::END_STREAM).await;
            played
        };
        let (response, _played) = tokio::join!(upstream.send(&pools, get()), play);
        let response = response.unwrap();
        assert_eq!(response.headers()["grpc-status"], "12");
        assert!(http_body::Body::is_end_stream(response.body()));
        assert_eq!(pools.idle(), 1);
    });
}

#[test]
fn both_sides_stream_at_once() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let (mut sender, receiver) = body_channel(None);
        let request = with_body(Method::POST, Body::from(receiver));
        let (response, mut played) = tokio::join!(upstream.send(&pools, request), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.head(stream, &[(":status", "200")], 0).await;
            played
        });
        let mut reply = response.unwrap().into_body();
        for turn in 0..3_u8 {
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send(Bytes::copy_from_slice(&[turn]));
            assert_eq!(played.next_of(frame::DATA).await.payload, [turn]);
            played.send(frame::DATA, 0, 1, &[turn + 100]).await;
            let back = reply.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(back[..], [turn + 100]);
        }
        sender.send_trailers(trailers_of("x-sum", "3"));
        assert!(played.next_of(frame::HEADERS).await.ends());
        played.send(frame::DATA, frame::END_STREAM, 1, b"").await;
        assert!(reply.frame().await.is_none());
        assert_eq!(upstream.endpoint.active(), 1);
        drop(reply);
        assert_eq!(upstream.endpoint.active(), 0);
    });
}

#[test]
fn an_upload_goes_on_though_nobody_reads_the_reply() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let (mut sender, receiver) = body_channel(None);
        let request = with_body(Method::POST, Body::from(receiver));
        let (response, mut played) = tokio::join!(upstream.send(&pools, request), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.head(stream, &[(":status", "200")], 0).await;
            played
        });
        let reply = response.unwrap().into_body();
        std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
        sender.send_last(Bytes::from_static(b"more"));
        let data = played.next_of(frame::DATA).await;
        assert_eq!((&data.payload[..], data.ends()), (&b"more"[..], true));
        drop(reply);
        // The upload is complete, the reply was not: only its stream ends.
        let reset = played.next_of(frame::RST_STREAM).await;
        assert_eq!((reset.stream, &reset.payload[..]), (1, &[0, 0, 0, 8][..]));
        assert_eq!(upstream.endpoint.connections(), 1);
    });
}

/// What becomes of a POST whose stream or connection ends like this before its reply.
async fn refused(
    ends: impl AsyncFnOnce(&mut crate::test_http2::Http2Played, u32),
) -> (SendError, Pools, Http2Upstream) {
    let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
    let request = with_body(Method::POST, Bytes::from_static(b"once").into());
    let (response, _played) = tokio::join!(upstream.send(&pools, request), async {
        let mut played = upstream.accept().await;
        let stream = played.request().await;
        played.next_of(frame::DATA).await;
        ends(&mut played, stream).await;
        played
    });
    (response.err().unwrap(), pools, upstream)
}

async fn is_whole(error: SendError) -> bool {
    let SendError::Unsent { request, cause } = error else { return false };
    assert_eq!(cause, UpstreamFailure::Refused);
    assert_eq!(request.headers()["host"], "shop.example");
    request.into_body().collect().await.unwrap().to_bytes() == "once"
}

#[test]
fn what_the_upstream_has_not_looked_at_comes_back_whole() {
    on_worker(async {
        let (error, pools, upstream) =
            refused(async |played, stream| played.reset(stream, 7).await).await;
        assert!(is_whole(error).await);
        assert!(upstream.checkout(&pools).await.unwrap().reused());
        let (error, pools, upstream) = refused(async |played, _| played.goaway(0, 0).await).await;
        assert!(is_whole(error).await);
        // No further request goes there.
        assert!(!upstream.checkout(&pools).await.unwrap().reused());
    });
}

#[test]
fn any_other_reset_may_have_been_acted_on() {
    on_worker(async {
        for code in [0, 1, 2, 8, 11] {
            let (error, ..) =
                refused(async |played, stream| played.reset(stream, code).await).await;
            let SendError::Failed { head, heard, cause } = error else { panic!("{code}") };
            // It has answered, so this is none that just turned out to be gone and costs no repeat.
            assert!(head.is_some() && heard == Heard::Something);
            assert!(matches!(cause, UpstreamFailure::Reset(_)), "{cause}");
        }
        // It names the stream as one that it may have looked at, and goes.
        let (error, ..) = refused(async |played, stream| {
            played.goaway(stream, 0).await;
            tokio::io::AsyncWriteExt::shutdown(&mut played.0).await.unwrap();
        })
        .await;
        assert!(matches!(error, SendError::Failed { cause: UpstreamFailure::Closed, .. }));
    });
}

#[test]
fn a_connection_that_was_lost_before_a_byte_went_out_sent_nothing() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let lease = upstream.checkout(&pools).await.unwrap();
        let played = upstream.accept().await;
        settle().await;
        // Closed by the upstream; the runtime has had no turn to hear of it.
        socket2::SockRef::from(&played.0).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(played);
        match lease.send(with_body(Method::POST, Bytes::from_static(b"once").into())).await {
            Err(SendError::Unsent { request, .. }) => {
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "once");
            }
            other => panic!("{:?}", other.err()),
        }
    });
}

/// A reply that lies about its length, or breaks off.
async fn body_of(
    head: &[(&str, &str)],
    ends: impl AsyncFnOnce(crate::test_http2::Http2Played),
) -> Result<Bytes, String> {
    let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
    let (response, ()) = tokio::join!(
        async {
            let response = upstream.send(&pools, get()).await.map_err(|e| e.to_string())?;
            let collected = response.into_body().collect().await;
            collected.map(|body| body.to_bytes()).map_err(|e| e.to_string())
        },
        async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.head(stream, head, 0).await;
            ends(played).await;
        }
    );
    response
}

#[test]
fn no_reply_is_cut_short_without_a_word() {
    on_worker(async {
        let five = [(":status", "200"), ("content-length", "5")];
        let short = body_of(&five, async |mut played| {
            played.send(frame::DATA, frame::END_STREAM, 1, b"four").await;
            played.next_of(frame::RST_STREAM).await;
        });
        assert!(short.await.is_err());
        for (head, bytes) in [(&five[..], &b"sixsix"[..]), (&[(":status", "200")], b"cut")] {
            let told = body_of(head, async |mut played| {
                played.send(frame::DATA, 0, 1, bytes).await;
            });
            assert!(told.await.is_err(), "{bytes:?}");
        }
    });
}

#[test]
fn interim_replies_that_are_for_the_client_are_told_of() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let mut told = Vec::new();
        let sending = async {
            let lease = upstream.checkout(&pools).await.unwrap();
            lease.send_telling(get(), |interim| told.push(interim.status().as_u16())).await
        };
        let play = async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            for status in ["100", "103", "102"] {
                played.head(stream, &[(":status", status)], 0).await;
            }
            played.head(stream, &[(":status", "200")], frame::END_STREAM).await;
            played
        };
        let (response, _open) = tokio::join!(sending, play);
        assert_eq!(response.unwrap().status(), 200);
        assert_eq!(told, [103, 102]);
    });
}

#[test]
fn interim_replies_are_bounded() {
    on_worker(async {
        let ok = body_of(&[(":status", "103")], async |mut played| {
            played.head(1, &[(":status", "200")], frame::END_STREAM).await;
            let _open = played.next().await;
        });
        assert_eq!(ok.await.unwrap(), "");
        let flood = body_of(&[(":status", "103")], async |mut played| {
            for _ in 0..16 {
                played.head(1, &[(":status", "103")], 0).await;
            }
            played.next_of(frame::RST_STREAM).await;
        });
        assert_eq!(flood.await.unwrap_err(), "protocol error: too many interim replies");
        let switch = body_of(&[(":status", "101")], async |mut played| {
            played.next_of(frame::RST_STREAM).await;
        });
        assert!(switch.await.unwrap_err().contains("switches protocols"));
    });
}

#[test]
fn a_body_waits_for_100_where_it_was_asked_to() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let mut request = with_body(Method::PUT, Bytes::from_static(b"hello").into());
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let progress = request.body().progress().unwrap();
        let (response, _played) = tokio::join!(upstream.send(&pools, request), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            settle().await;
            assert_eq!(progress.bytes(), 0);
            played.head(stream, &[(":status", "100")], 0).await;
            assert_eq!(played.next_of(frame::DATA).await.payload, b"hello");
            played.reply(stream, b"ok").await;
            played
        });
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    });
}

#[test]
fn an_early_refusal_is_delivered_and_its_upload_ends() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let (mut sender, receiver) = body_channel(None);
        let request = with_body(Method::POST, Body::from(receiver));
        let (response, mut played) = tokio::join!(upstream.send(&pools, request), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send(Bytes::from(vec![0; 1 << 10]));
            played.next_of(frame::DATA).await;
            played.head(stream, &[(":status", "413")], 0).await;
            played.send(frame::DATA, frame::END_STREAM, stream, b"too large").await;
            // NO_ERROR: it wants no more of the request (RFC 9113 section 8.1).
            played.reset(stream, 0).await;
            played
        });
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "too large");
        settle().await;
        assert_eq!(sender.demand(), portcullis_message::Demand::Gone);
        // The others are not concerned.
        let (next, ()) = tokio::join!(upstream.send(&pools, get()), async {
            let stream = played.request().await;
            played.reply(stream, b"ok").await;
        });
        assert_eq!(next.unwrap().status(), StatusCode::OK);
        assert_eq!(upstream.endpoint.connections(), 1);
    });
}

#[test]
fn an_upload_that_breaks_off_is_never_taken_for_whole() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let (mut sender, receiver) = body_channel(Some(10));
        let request = with_body(Method::POST, Body::from(receiver));
        let (response, _played) = tokio::join!(upstream.send(&pools, request), async {
            let mut played = upstream.accept().await;
            played.request().await;
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send(Bytes::from_static(b"half"));
            assert!(!played.next_of(frame::DATA).await.ends());
            drop(sender);
            let reset = played.next_of(frame::RST_STREAM).await;
            assert_eq!(reset.payload, [0, 0, 0, 8]);
            played
        });
        let error = response.err().unwrap();
        assert!(matches!(error, SendError::Failed { cause: UpstreamFailure::RequestBody, .. }));
    });
}

#[test]
fn a_stream_that_stands_still_holds_no_other_up() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let (stalled, mut played) = tokio::join!(upstream.send(&pools, get()), async {
            let mut played = upstream.accept().await;
            let stream = played.request().await;
            played.head(stream, &[(":status", "200")], 0).await;
            // As much as the stream's window takes; nobody reads it.
            for _ in 0..16 {
                played.send(frame::DATA, 0, stream, &[0; 16 << 10]).await;
            }
            played
        });
        let _stalled = stalled.unwrap();
        for _ in 0..8 {
            let (other, ()) = tokio::join!(
                async {
                    let response = upstream.send(&pools, get()).await.unwrap();
                    response.into_body().collect().await.unwrap().to_bytes()
                },
                async {
                    let stream = played.request().await;
                    played.head(stream, &[(":status", "200")], 0).await;
                    for _ in 0..8 {
                        played.send(frame::DATA, 0, stream, &[0; 16 << 10]).await;
                    }
                    played.send(frame::DATA, frame::END_STREAM, stream, b"").await;
                }
            );
            assert_eq!(other.len(), 128 << 10);
        }
    });
}

/// What a request hears whose upstream sends these bytes in place of a reply.
async fn told(bytes: Vec<u8>) -> SendError {
    let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
    let (response, ()) = tokio::join!(upstream.send(&pools, get()), async {
        let mut played = upstream.accept().await;
        played.request().await;
        let _cut = tokio::io::AsyncWriteExt::write_all(&mut played.0, &bytes).await;
        played.is_closed().await;
    });
    response.err().unwrap()
}

fn frames(kind: u8, flags: u8, stream: u32, payload: &[u8], count: usize) -> Vec<u8> {
    crate::test_http2::encode(kind, flags, stream, payload).repeat(count)
}

#[test]
fn floods_end_the_connection() {
    on_worker(async {
        let head = crate::test_http2::block(&[(":status", "200")]);
        let endless =
            [frames(frame::HEADERS, 0, 1, &head, 1), frames(frame::CONTINUATION, 0, 1, b"", 1_000)]
                .concat();
        let large: Vec<(&str, &str)> = vec![("x-large", LARGE); 10_000];
        let large = crate::test_http2::block(&[&[(":status", "200")], &large[..]].concat());
        let mut pieces = frames(frame::HEADERS, 0, 1, &[], 1);
        large.chunks(16 << 10).for_each(|piece| {
            pieces.extend(frames(frame::CONTINUATION, 0, 1, piece, 1));
        });
        for (what, bytes) in [
            ("ping", frames(frame::PING, 0, 0, &[0; 8], 1_000)),
            ("settings", frames(frame::SETTINGS, 0, 0, &[], 1_000)),
            ("windows", frames(frame::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1], 1_000)),
            ("resets", frames(frame::RST_STREAM, 0, 1, &[0, 0, 0, 8], 1_000)),
            ("endless head", endless),
            ("a head of 1 MB", pieces),
            ("push", frames(frame::PUSH_PROMISE, frame::END_HEADERS, 1, &[0, 0, 0, 2], 1)),
            ("no HTTP/2", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec()),
            ("a wrong size", frames(frame::PING, 0, 0, &[0; 7], 1)),
        ] {
            let error = told(bytes).await;
            assert!(matches!(error, SendError::Failed { .. }), "{what}: {error}");
        }
    });
}

/// A hundred bytes.
const LARGE: &str = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

#[test]
fn a_request_without_an_authority_is_not_sent() {
    on_worker(async {
        let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
        let mut request: Request<RequestBody> = get();
        request.headers_mut().insert("host", "a b".parse().unwrap());
        let error = upstream.send(&pools, request).await.err().unwrap();
        assert!(matches!(error.cause(), UpstreamFailure::Protocol(_)));
    });
}
