//! Rows on frames, streams, settings and flow control: RFC 9113, sections 4 to 6.

use portcullis_testkit::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY,
    HEADERS, PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS,
    STREAM_CLOSED, WINDOW_UPDATE,
};
use portcullis_testkit::header_block;

use super::Outcome::{ConnectionError, Ignored, Served, StreamError};
use super::{GET, Row, get, held, of, post};

pub(super) fn rows() -> Vec<Row> {
    [frames(), streams(), data_and_headers(), resets(), settings(), others(), windows()]
        .into_iter()
        .flatten()
        .collect()
}

fn row(
    section: &'static str,
    what: &'static str,
    frames: Vec<portcullis_testkit::Frame>,
    outcome: super::Outcome,
) -> Row {
    Row { section, what, frames, outcome }
}

fn frames() -> Vec<Row> {
    vec![
        row("4.1", "an unknown type is ignored", vec![of(0x7f, 0xff, 0, [0; 8])], Ignored),
        row("4.1", "an unknown flag is ignored", vec![of(PING, 0xfe, 0, [0; 8])], Ignored),
        row(
            "4.2",
            "DATA above the maximum",
            vec![post(1), of(DATA, 0, 1, [0; 16385])],
            StreamError(FRAME_SIZE_ERROR),
        ),
        row(
            "4.2",
            "HEADERS above the maximum",
            vec![of(HEADERS, END_HEADERS, 1, [0; 16385])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
    ]
}

fn streams() -> Vec<Row> {
    vec![
        row(
            "5.1",
            "DATA on an idle stream",
            vec![of(DATA, 0, 1, "x")],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "5.1",
            "RST_STREAM on an idle stream",
            vec![of(RST_STREAM, 0, 1, [0; 4])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            vec![of(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "5.1",
            "CONTINUATION on an idle stream",
            vec![of(CONTINUATION, END_HEADERS, 1, "")],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "5.1",
            "PRIORITY on an idle stream is ignored",
            vec![of(PRIORITY, 0, 9, [0, 0, 0, 0, 1])],
            Ignored,
        ),
        row(
            "5.1",
            "DATA after the stream's end",
            vec![held(1), of(DATA, 0, 1, "x")],
            StreamError(STREAM_CLOSED),
        ),
        row(
            "5.1",
            "HEADERS after the stream's end",
            vec![held(1), held(1)],
            StreamError(STREAM_CLOSED),
        ),
        row("5.1.1", "an even stream", vec![get(2)], ConnectionError(PROTOCOL_ERROR)),
        row(
            "5.1.1",
            "a stream below an earlier one",
            vec![get(5), get(3)],
            ConnectionError(STREAM_CLOSED),
        ),
    ]
}

fn data_and_headers() -> Vec<Row> {
    let padded = [&[255][..], &header_block(&GET)].concat();
    let block = header_block(&GET);
    let (first, rest) = block.split_at(8);
    let cut = |between| {
        vec![of(HEADERS, END_STREAM, 1, first), between, of(CONTINUATION, END_HEADERS, 1, rest)]
    };
    vec![
        row("6.1", "DATA on stream 0", vec![of(DATA, 0, 0, "x")], ConnectionError(PROTOCOL_ERROR)),
        row(
            "6.1",
            "DATA of more padding than payload",
            vec![post(1), of(DATA, PADDED, 1, [9, 0])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.1",
            "padded DATA",
            vec![post(1), of(DATA, PADDED | END_STREAM, 1, [2, b'x', 0, 0])],
            Served,
        ),
        row("6.2", "HEADERS on stream 0", vec![get(0)], ConnectionError(PROTOCOL_ERROR)),
        row(
            "6.2",
            "HEADERS of more padding than payload",
            vec![of(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, padded)],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.2",
            "a block in two frames",
            vec![of(HEADERS, END_STREAM, 1, first), of(CONTINUATION, END_HEADERS, 1, rest)],
            Served,
        ),
        row(
            "6.2",
            "PING within a block",
            cut(of(PING, 0, 0, [0; 8])),
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.2",
            "HEADERS of another stream within a block",
            cut(get(3)),
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.10",
            "CONTINUATION of another stream",
            cut(of(CONTINUATION, 0, 3, "")),
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.10",
            "CONTINUATION on stream 0",
            cut(of(CONTINUATION, 0, 0, "")),
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.10",
            "CONTINUATION after a whole block",
            vec![post(1), of(CONTINUATION, END_HEADERS, 1, "")],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.10",
            "CONTINUATION after DATA",
            vec![post(1), of(DATA, 0, 1, "x"), of(CONTINUATION, END_HEADERS, 1, "")],
            ConnectionError(PROTOCOL_ERROR),
        ),
    ]
}

fn resets() -> Vec<Row> {
    vec![
        row(
            "6.3",
            "PRIORITY on stream 0",
            vec![of(PRIORITY, 0, 0, [0; 5])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.3",
            "PRIORITY of four bytes",
            vec![post(1), of(PRIORITY, 0, 1, [0; 4])],
            StreamError(FRAME_SIZE_ERROR),
        ),
        row(
            "6.4",
            "RST_STREAM on stream 0",
            vec![of(RST_STREAM, 0, 0, [0; 4])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.4",
            "RST_STREAM of three bytes",
            vec![post(1), of(RST_STREAM, 0, 1, [0; 3])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
    ]
}

fn settings() -> Vec<Row> {
    let setting =
        |id: u8, value: u32| of(SETTINGS, 0, 0, [&[0, id][..], &value.to_be_bytes()].concat());
    vec![
        row(
            "6.5",
            "an acknowledgement with a payload",
            vec![of(SETTINGS, ACK, 0, [0; 6])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        row(
            "6.5",
            "SETTINGS on a stream",
            vec![of(SETTINGS, 0, 1, [0; 6])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.5",
            "SETTINGS of five bytes",
            vec![of(SETTINGS, 0, 0, [0; 5])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        row("6.5.2", "ENABLE_PUSH of 2", vec![setting(2, 2)], ConnectionError(PROTOCOL_ERROR)),
        row(
            "6.5.2",
            "INITIAL_WINDOW_SIZE of 2^31",
            vec![setting(4, 1 << 31)],
            ConnectionError(FLOW_CONTROL_ERROR),
        ),
        row(
            "6.5.2",
            "MAX_FRAME_SIZE below 2^14",
            vec![setting(5, 16383)],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.5.2",
            "MAX_FRAME_SIZE above 2^24 - 1",
            vec![setting(5, 1 << 24)],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row("6.5.2", "an unknown setting is ignored", vec![setting(0xee, 1)], Ignored),
        row(
            "6.5.3",
            "a window of 0, widened later",
            vec![setting(4, 0), get(1), setting(4, 65_535)],
            Served,
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        row(
            "6.6",
            "PUSH_PROMISE from a client",
            vec![post(1), of(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row("6.7", "PING is answered", vec![], Ignored),
        row("6.7", "an answer to no PING is ignored", vec![of(PING, ACK, 0, [9; 8])], Ignored),
        row(
            "6.7",
            "PING on a stream",
            vec![of(PING, 0, 1, [0; 8])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.7",
            "PING of six bytes",
            vec![of(PING, 0, 0, [0; 6])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        row(
            "6.8",
            "GOAWAY on a stream",
            vec![of(GOAWAY, 0, 1, [0; 8])],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.8",
            "GOAWAY of four bytes",
            vec![of(GOAWAY, 0, 0, [0; 4])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
    ]
}

fn windows() -> Vec<Row> {
    let update = |stream, by: u32| of(WINDOW_UPDATE, 0, stream, by.to_be_bytes());
    let most = u32::MAX >> 1;
    vec![
        row(
            "6.9",
            "the connection's window by 0",
            vec![update(0, 0)],
            ConnectionError(PROTOCOL_ERROR),
        ),
        row(
            "6.9",
            "a stream's window by 0",
            vec![post(1), update(1, 0)],
            StreamError(PROTOCOL_ERROR),
        ),
        row(
            "6.9",
            "WINDOW_UPDATE of three bytes",
            vec![of(WINDOW_UPDATE, 0, 0, [0; 3])],
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        row(
            "6.9.1",
            "the connection's window above 2^31 - 1",
            vec![update(0, most), update(0, most)],
            ConnectionError(FLOW_CONTROL_ERROR),
        ),
        row(
            "6.9.1",
            "a stream's window above 2^31 - 1",
            vec![post(1), update(1, most), update(1, most)],
            StreamError(FLOW_CONTROL_ERROR),
        ),
    ]
}
