//! HTTP/2 and HPACK by section of RFC 9113 and RFC 7541: what a server has to make of odd frames.

mod connection_rows;
mod request_rows;

use std::net::SocketAddr;

use portcullis_testkit::{Frame, FrameConnection, frame};

use crate::shop::{HOST, Shop, TO_BLUE};

/// One row: a section, what the client does after the preface, and what has to come of it.
struct Row {
    section: &'static str,
    what: &'static str,
    frames: Vec<Frame>,
    outcome: Outcome,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The connection ends with GOAWAY and this code, or PROTOCOL_ERROR, which our HTTP/2 library says for most.
    ConnectionError(u32),
    /// Stream 1 is reset with such a code, or the connection ends with it: a server may take a stream error for a
    /// connection error (RFC 9113 section 5.4.1).
    StreamError(u32),
    /// The request on stream 1 is malformed: reset with PROTOCOL_ERROR, or answered by 400 (section 8.1.1).
    Malformed,
    /// The request on stream 1 is answered by 200.
    Served,
    /// The frames do not disturb: PING is answered.
    Ignored,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    GoAway(u32),
    Reset(u32),
    /// HEADERS of stream 1, by the first byte of its block: an index of HPACK's static table.
    Reply(u8),
    Pong,
    Closed,
}

#[tokio::test]
async fn every_row_of_rfc_9113_and_7541_holds() {
    let shop = Shop::open(TO_BLUE).await;
    let address = shop.gateway.address("http");
    let mut neighbour = shop.connect().await;
    let mut wrong = Vec::new();
    let mut rows = connection_rows::rows();
    rows.extend(request_rows::rows());
    for row in rows {
        let seen = play(address, &row).await;
        if !holds(row.outcome, &seen) {
            wrong.push(format!("{} {}: {:?}, but {seen:?}", row.section, row.what, row.outcome));
        }
        let reply = neighbour.get(HOST, "/").await;
        assert_eq!(reply.status, 200, "{}: another connection is not disturbed", row.what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_connection_without_the_preface_is_no_http2() {
    let shop = Shop::open(TO_BLUE).await;
    let mut raw =
        portcullis_testkit::RawConnection::connect(shop.gateway.address("http")).await.unwrap();
    raw.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await.unwrap();
    let answer = raw.read_to_close().await;
    assert!(answer.starts_with(b"HTTP/1.1 505"), "{}", String::from_utf8_lossy(&answer));
}

/// Sends the frames and, where they should not disturb, a PING after them.
async fn play(address: SocketAddr, row: &Row) -> Seen {
    let mut connection = FrameConnection::open(address).await.unwrap();
    for frame in &row.frames {
        // The server may have closed already.
        if connection.send_bytes(&frame.encode()).await.is_err() {
            break;
        }
    }
    if row.outcome == Outcome::Ignored {
        let _closed = connection.send(frame::PING, 0, 0, b"conforms").await;
    }
    watch(&mut connection).await
}

async fn watch(connection: &mut FrameConnection) -> Seen {
    while let Some(frame) = connection.next().await {
        match frame.kind {
            frame::GOAWAY => return Seen::GoAway(frame.number(4)),
            frame::RST_STREAM if frame.stream == 1 => return Seen::Reset(frame.number(0)),
            frame::HEADERS if frame.stream == 1 => return Seen::Reply(frame.payload[0]),
            frame::PING if frame.flags == frame::ACK && frame.payload == b"conforms" => {
                return Seen::Pong;
            }
            _ => {}
        }
    }
    Seen::Closed
}

fn holds(outcome: Outcome, seen: &Seen) -> bool {
    /// `:status: 200` and `:status: 400`, indexed (RFC 7541, appendix A).
    const STATUS_200: u8 = 0x88;
    const STATUS_400: u8 = 0x8c;
    match (outcome, seen) {
        (Outcome::ConnectionError(wanted), Seen::GoAway(code))
        | (Outcome::StreamError(wanted), Seen::GoAway(code) | Seen::Reset(code)) => {
            [wanted, frame::PROTOCOL_ERROR].contains(code)
        }
        (Outcome::Malformed, Seen::Reset(code) | Seen::GoAway(code)) => {
            *code == frame::PROTOCOL_ERROR
        }
        (Outcome::Malformed, Seen::Reply(status)) => *status == STATUS_400,
        (Outcome::Served, Seen::Reply(status)) => *status == STATUS_200,
        (Outcome::Ignored, Seen::Pong) => true,
        _ => false,
    }
}

/// A frame.
fn of(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Frame {
    Frame { kind, flags, stream, payload: payload.as_ref().to_vec() }
}

/// The fields of a valid request.
const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)];

/// A valid request without a body.
fn get(stream: u32) -> Frame {
    let block = portcullis_testkit::header_block(&GET);
    of(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, block)
}

/// The same, held by the upstream.
fn held(stream: u32) -> Frame {
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":path", "/slow"), (":authority", HOST)];
    let block = portcullis_testkit::header_block(&fields);
    of(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, block)
}

/// A valid request whose body follows.
fn post(stream: u32) -> Frame {
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", HOST)];
    let block = portcullis_testkit::header_block(&fields);
    of(frame::HEADERS, frame::END_HEADERS, stream, block)
}
