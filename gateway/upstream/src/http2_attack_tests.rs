//! HTTP/2 upstreams that break its rules, each in one way: never is a request taken for unsent, a reply for whole that is
//! not, and nothing stays behind.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;

use crate::exchange_tests::{settle, with_body};
use crate::test_http2::{Http2Upstream, block, encode, frame};
use crate::test_upstream::on_worker;
use crate::{Pools, SendError};

const OK: &[(&str, &str)] = &[(":status", "200")];

fn head(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    encode(frame::HEADERS, flags | frame::END_HEADERS, 1, &block(fields))
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    encode(frame::SETTINGS, 0, 0, &payload)
}

fn data(flags: u8, bytes: &[u8]) -> Vec<u8> {
    encode(frame::DATA, flags, 1, bytes)
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    encode(frame::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// What becomes of a POST, the first on its connection, whose upstream says this and goes on listening: the body of
/// its reply, or `None` where there is none or it breaks off.
async fn becomes(says: Vec<u8>) -> Option<Bytes> {
    let (pools, upstream) = (Pools::new(), Http2Upstream::start().await);
    let request = with_body(Method::POST, Bytes::from_static(b"once").into());
    let asking = async {
        match upstream.send(&pools, request).await {
            Ok(response) => response.into_body().collect().await.ok().map(|body| body.to_bytes()),
            Err(SendError::Failed { .. }) => None,
            Err(SendError::Unsent { cause, .. }) => panic!("it was sent: {cause}"),
        }
    };
    let playing = async {
        let mut played = upstream.accept().await;
        played.next_of(frame::DATA).await;
        // The client may have gone meanwhile.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut played.0, &says).await;
        played
    };
    let both = async { tokio::join!(asking, playing) };
    let (told, played) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("an end");
    assert_eq!(upstream.endpoint.active(), 0);
    drop(played);
    pools.close_idle();
    while upstream.endpoint.connections() > 0 {
        settle().await;
    }
    told
}

#[test]
fn heads_that_are_none_are_refused() {
    on_worker(async {
        let heads: [&[(&str, &str)]; 11] = [
            &[],
            &[("x-a", "1")],
            &[(":status", "200"), (":status", "200")],
            &[(":status", "abc")],
            &[(":status", "20")],
            &[(":status", "1000")],
            &[(":status", "")],
            &[("x-a", "1"), (":status", "200")],
            &[(":status", "200"), ("X-A", "1")],
            &[(":status", "200"), ("x-a", "1\r\nx-b: 2")],
            &[(":status", "200"), ("x a", "1")],
        ];
        for fields in heads {
            let says = [head(fields, 0), data(frame::END_STREAM, b"ok")].concat();
            assert_eq!(becomes(says).await, None, "{fields:?}");
        }
    });
}

#[test]
fn frames_that_may_not_come_end_the_request() {
    on_worker(async {
        let oversized = vec![0; (16 << 10) + 1];
        let before_the_reply = [
            ("data before a head", data(frame::END_STREAM, b"ok")),
            ("a head on our even stream", encode(frame::HEADERS, 4, 2, &block(OK))),
            ("a head on a stream not opened", encode(frame::HEADERS, 4, 99, &block(OK))),
            (
                "a promise",
                encode(frame::PUSH_PROMISE, 4, 1, &[&[0, 0, 0, 2][..], &block(OK)].concat()),
            ),
            ("no window more", window(0, 0)),
            ("too large a window", window(0, (1 << 31) - 1)),
            ("settings of five bytes", encode(frame::SETTINGS, 0, 0, &[0; 5])),
            ("settings of a stream", encode(frame::SETTINGS, 0, 1, &[])),
            ("a window that cannot be", setting(4, 1 << 31)),
            ("frames of no size", setting(5, 0)),
            ("data on no stream", encode(frame::DATA, 0, 0, b"ok")),
            ("GOAWAY on a stream", encode(frame::GOAWAY, 0, 1, &[0; 8])),
            ("an oversized frame", encode(frame::DATA, 0, 1, &oversized)),
            ("the rest of no head", encode(frame::CONTINUATION, 4, 1, &block(OK))),
            ("padding beyond the frame", encode(frame::DATA, 8, 1, &[9, 0])),
            ("a broken block", encode(frame::HEADERS, 4, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ];
        for (what, says) in before_the_reply {
            assert_eq!(becomes(says).await, None, "{what}");
        }
    });
}

#[test]
fn replies_that_break_off_in_their_body_are_not_whole() {
    on_worker(async {
        let begun = [head(OK, 0), data(0, b"ok")].concat();
        for (what, rest) in [
            ("a reset that says that all is well", encode(frame::RST_STREAM, 0, 1, &[0; 4])),
            ("GOAWAY that leaves it out", encode(frame::GOAWAY, 0, 0, &[0; 8])),
            ("a second head", head(OK, 0)),
            ("trailers that do not end it", head(&[("x-a", "1")], 0)),
            ("settings that cannot be", setting(4, 1 << 31)),
        ] {
            assert_eq!(becomes([begun.clone(), rest].concat()).await, None, "{what}");
        }
    });
}

#[test]
fn what_comes_after_a_whole_reply_does_not_spoil_it() {
    on_worker(async {
        let whole = [head(OK, 0), data(frame::END_STREAM, b"ok")].concat();
        for (what, rest) in [
            ("a reset that says that all is well", encode(frame::RST_STREAM, 0, 1, &[0; 4])),
            ("a reset with an error", encode(frame::RST_STREAM, 0, 1, &2_u32.to_be_bytes())),
            ("GOAWAY that covers it", encode(frame::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
            ("no further streams", setting(3, 0)),
            ("no window for further bodies", setting(4, 0)),
            ("room on a stream that has ended", window(1, 1)),
            ("a frame of a type that nobody knows", encode(0xbe, 0xff, 1, b"?")),
        ] {
            let told = becomes([whole.clone(), rest].concat()).await;
            assert_eq!(told.as_deref(), Some(&b"ok"[..]), "{what}");
        }
    });
}
