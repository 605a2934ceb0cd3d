//! Rows on requests and their compression: RFC 9113, section 8, and RFC 7541.

use portcullis_testkit::frame::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS,
};
use portcullis_testkit::{Frame, header_block};

use super::Outcome::{ConnectionError, Malformed, Served, StreamError};
use super::{GET, Row, of, post};
use crate::shop::HOST;

pub(super) fn rows() -> Vec<Row> {
    [pseudo_headers(), fields(), messages(), compression()].into_iter().flatten().collect()
}

/// A request of these fields after the usual ones.
fn and(fields: &[(&str, &str)]) -> Vec<Frame> {
    head(&[&GET[..], fields].concat())
}

/// A request of these fields alone.
fn head(fields: &[(&str, &str)]) -> Vec<Frame> {
    vec![of(HEADERS, END_HEADERS | END_STREAM, 1, header_block(fields))]
}

/// The usual request without one of its fields.
fn without(name: &str) -> Vec<Frame> {
    head(&GET.into_iter().filter(|(given, _)| *given != name).collect::<Vec<_>>())
}

fn malformed(section: &'static str, what: &'static str, frames: Vec<Frame>) -> Row {
    Row { section, what, frames, outcome: Malformed }
}

fn pseudo_headers() -> Vec<Row> {
    let (method, rest) = (GET[0], &GET[1..]);
    let late = [&[method, ("x-first", "1")][..], rest].concat();
    vec![
        malformed("8.3", "an unknown pseudo-header", and(&[(":unknown", "1")])),
        malformed("8.3", "a pseudo-header of replies", and(&[(":status", "200")])),
        malformed("8.3", "a pseudo-header after a field", head(&late)),
        malformed("8.3.1", "no :method", without(":method")),
        malformed("8.3.1", "no :scheme", without(":scheme")),
        malformed("8.3.1", "no :path", without(":path")),
        malformed("8.3.1", "two :method", and(&[(":method", "GET")])),
        malformed("8.3.1", "two :path", and(&[(":path", "/")])),
        malformed("8.3.1", "two :authority", and(&[(":authority", HOST)])),
        malformed("8.3.1", "an empty :path", head(&[GET[0], GET[1], (":path", ""), GET[3]])),
        malformed("8.3.1", "no :authority and no Host", without(":authority")),
    ]
}

fn fields() -> Vec<Row> {
    vec![
        malformed("8.2.1", "a name in upper case", and(&[("X-Mine", "1")])),
        malformed("8.2.1", "a blank in a name", and(&[("x mine", "1")])),
        malformed("8.2.1", "a line end in a value", and(&[("x-mine", "1\r\nx-other: 2")])),
        malformed("8.2.1", "NUL in a value", and(&[("x-mine", "1\u{0}")])),
        malformed("8.2.1", "a blank before a value", and(&[("x-mine", " 1")])),
        malformed("8.2.2", "connection", and(&[("connection", "keep-alive")])),
        malformed("8.2.2", "keep-alive", and(&[("keep-alive", "1")])),
        malformed("8.2.2", "proxy-connection", and(&[("proxy-connection", "close")])),
        malformed("8.2.2", "transfer-encoding", and(&[("transfer-encoding", "chunked")])),
        malformed("8.2.2", "upgrade", and(&[("upgrade", "h2c")])),
        malformed("8.2.2", "te that is not trailers", and(&[("te", "gzip")])),
        Row {
            section: "8.2.2",
            what: "te: trailers",
            frames: and(&[("te", "trailers")]),
            outcome: Served,
        },
        Row {
            section: "8.2.3",
            what: "a cookie in crumbs",
            frames: and(&[("cookie", "a=1"), ("cookie", "b=2")]),
            outcome: Served,
        },
    ]
}

fn messages() -> Vec<Row> {
    let length = |length: &str| {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", HOST),
            ("content-length", length),
        ];
        of(HEADERS, END_HEADERS, 1, header_block(&fields))
    };
    let trailers =
        |fields: &[(&str, &str)], end| of(HEADERS, END_HEADERS | end, 1, header_block(fields));
    let data = |end| of(DATA, end, 1, "four");
    vec![
        malformed("8.1", "trailers that end nothing", vec![post(1), trailers(&[("x-a", "1")], 0)]),
        malformed("8.1.1", "less DATA than content-length", vec![length("5"), data(END_STREAM)]),
        malformed("8.1.1", "more DATA than content-length", vec![length("3"), data(END_STREAM)]),
        malformed("8.1.1", "more DATA in two frames", vec![length("7"), data(0), data(END_STREAM)]),
        Row {
            section: "8.1",
            what: "trailers",
            frames: vec![post(1), data(0), trailers(&[("x-sum", "1")], END_STREAM)],
            outcome: Served,
        },
        // The RFC calls it malformed; our HTTP/2 library drops the field, so that nothing of it goes upstream.
        Row {
            section: "8.1",
            what: "a pseudo-header in trailers",
            frames: vec![post(1), trailers(&[(":path", "/")], END_STREAM)],
            outcome: Served,
        },
        Row {
            section: "8.1.1",
            what: "as much DATA as content-length",
            frames: vec![length("4"), data(END_STREAM)],
            outcome: Served,
        },
        Row {
            section: "8.5",
            what: "CONNECT with a :path",
            frames: head(&[(":method", "CONNECT"), (":path", "/"), (":authority", HOST)]),
            outcome: Malformed,
        },
    ]
}

fn compression() -> Vec<Row> {
    let block = |bytes: &[u8]| vec![of(HEADERS, END_HEADERS | END_STREAM, 1, bytes)];
    let row = |section, what, frames| Row {
        section,
        what,
        frames,
        outcome: ConnectionError(COMPRESSION_ERROR),
    };
    vec![
        row("HPACK 2.3.3", "an index beyond the tables", block(&[0xff, 0x7f])),
        row("HPACK 4.2", "a table above the limit", block(&[0x3f, 0xe1, 0xff, 0x03])),
        row(
            "HPACK 5.1",
            "a number that never ends",
            block(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        row(
            "HPACK 5.2",
            "Huffman padding of a whole byte",
            block(&[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff]),
        ),
        row(
            "HPACK 5.2",
            "Huffman padding of zeros",
            block(&[0x00, 0x83, 0x49, 0x50, 0x90, 0x83, 0x49, 0x50, 0x9f]),
        ),
        row("HPACK 6.1", "the index 0", block(&[0x80])),
        row("HPACK 6.3", "a table size after a field", block(&[0x82, 0x20, 0x86])),
        Row {
            section: "HPACK 3.1",
            what: "a block that is cut",
            frames: vec![
                of(HEADERS, END_STREAM, 1, [0x00, 0x05, b'a']),
                of(CONTINUATION, END_HEADERS, 1, ""),
            ],
            outcome: StreamError(COMPRESSION_ERROR),
        },
    ]
}
