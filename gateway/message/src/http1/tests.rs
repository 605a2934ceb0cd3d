//! Heads and bodies as they come on the wire, whole and in pieces.

use bytes::BytesMut;
use http::{Method, StatusCode, Version};
use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Option<RequestHead>, HeadError> {
    HeadReader::default().request(&mut BytesMut::from(bytes), &Limits::REQUEST)
}

fn refused(bytes: &[u8]) -> HeadError {
    read(bytes).unwrap_err()
}

fn reply(method: &Method, bytes: &str) -> Result<Option<ReplyHead>, HeadError> {
    HeadReader::default().reply(&mut BytesMut::from(bytes), method, &Limits::REPLY)
}

#[test]
fn a_request_head_is_read_and_nothing_more() {
    let mut buffer = BytesMut::from(
        "\r\nPOST /a?b HTTP/1.1\r\nHost: a.test\r\nX-Many: 1\r\nx-many:  2 \r\nempty:\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let head = HeadReader::default().request(&mut buffer, &Limits::REQUEST).unwrap().unwrap();
    assert_eq!((head.framing, head.persistence), (Framing::Length(5), Persistence::KeepAlive));
    assert_eq!(head.request.method(), Method::POST);
    assert_eq!(head.request.uri(), "/a?b");
    assert_eq!(head.request.version(), Version::HTTP_11);
    let headers = head.request.headers();
    assert_eq!(headers.get_all("x-many").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((headers.len(), &headers["empty"]), (5, &http::HeaderValue::from_static("")));
    assert_eq!(&buffer[..], b"hello");
}

#[test]
fn targets_of_every_form_are_read() {
    for (line, target) in [
        ("OPTIONS * HTTP/1.1", "*"),
        ("GET http://a.test/b HTTP/1.1", "http://a.test/b"),
        ("CONNECT a.test:443 HTTP/1.1", "a.test:443"),
        ("GET / HTTP/1.0", "/"),
    ] {
        let head = read(format!("{line}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(head.request.uri(), target);
    }
}

#[test]
fn malformed_heads_are_refused() {
    for (bytes, error) in [
        (&b"GET /\r\n\r\n"[..], HeadError::Malformed),
        (b"GET / HTTP/2.0\r\n\r\n", HeadError::Version),
        (b"GET / HTTP/1.2\r\n\r\n", HeadError::Version),
        (b"GET  / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        (b"G@T / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        (b" GET / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\nhost a\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\n: a\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\n folded: b\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\na: b\rc: d\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\r\na: b\0\r\n\r\n", HeadError::Malformed),
        (b"GET / HTTP/1.1\na: b\r\n\r\n", HeadError::BareLineFeed),
        (b"GET / HTTP/1.1\r\na: b\n\r\n", HeadError::BareLineFeed),
        (b"GET / HTTP/1.1\r\na: b\r\n\n", HeadError::BareLineFeed),
        (b"\nGET / HTTP/1.1\r\n\r\n", HeadError::BareLineFeed),
        (b"GET /#a HTTP/1.1\r\n\r\n", HeadError::Fragment),
    ] {
        assert_eq!(refused(bytes), error, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn large_heads_are_refused_as_soon_as_they_are_too_large() {
    let long = |length| "x".repeat(length);
    let head = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes();
    let line = format!("GET /{} HTTP/1.1\r\n\r\n", long(16 << 10));
    assert_eq!(refused(line.as_bytes()), HeadError::LongLine);
    assert_eq!(refused(&line.as_bytes()[..(16 << 10) + 1]), HeadError::LongLine);
    let both = Limits { head: 64, line: 32, ..Limits::REQUEST };
    let large = HeadReader::default().request(&mut BytesMut::from(line.as_bytes()), &both);
    assert_eq!(large.unwrap_err(), HeadError::LongLine);
    assert_eq!(refused(&head(&format!("a: {}\r\n", long(16 << 10)))), HeadError::TooLarge);
    assert!(read(&head(&format!("a: {}\r\n", long(16 << 10 >> 1)))).unwrap().is_some());
    let many = |fields: usize| head(&"a: b\r\n".repeat(fields));
    assert!(read(&many(100)).unwrap().is_some());
    assert_eq!(refused(&many(101)), HeadError::TooManyFields);
    let large = head(&format!("a: {}\r\n", long(10 << 10)).repeat(7));
    assert_eq!(refused(&large), HeadError::TooLarge);
    assert_eq!(refused(&large[..64 << 10]), HeadError::TooLarge);
    assert_eq!(HeadError::LongLine.status(), StatusCode::URI_TOO_LONG);
    assert_eq!(HeadError::Version.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
}

#[test]
fn a_reply_ends_where_its_head_says() {
    let framing = |method: &Method, head: &str| reply(method, head).unwrap().unwrap().framing;
    let get = |head: &str| framing(&Method::GET, head);
    assert_eq!(get("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), Framing::Length(5));
    assert_eq!(get("HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n"), Framing::Chunked);
    assert_eq!(get("HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
    for status in [100, 103, 204, 304] {
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(get(&head), Framing::Empty);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(framing(&Method::HEAD, head), Framing::Empty);
    let until_close = reply(&Method::GET, "HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
    assert_eq!(until_close.persistence, Persistence::Close);
}

#[test]
fn a_reply_that_two_could_read_differently_is_refused() {
    for (head, error) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            HeadError::TwoLengths,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            HeadError::RepeatedContentLength,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 05\r\n\r\n", HeadError::ContentLength),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", HeadError::TransferEncoding),
        ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 200 OK\na: b\r\n\r\n", HeadError::BareLineFeed),
        ("HTTP/1.1 20 OK\r\n\r\n", HeadError::Malformed),
        ("ICY 200 OK\r\n\r\n", HeadError::Malformed),
    ] {
        assert_eq!(reply(&Method::GET, head).unwrap_err(), error, "{head:?}");
    }
}

/// All of a body: its bytes, its trailers, and what is left behind it.
#[derive(Debug, Default, PartialEq)]
struct WholeBody {
    data: Vec<u8>,
    trailers: Option<http::HeaderMap>,
    left: Vec<u8>,
    ended: bool,
}

/// Feeds pieces to a decoder.
fn decode<'a>(
    framing: Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<WholeBody, FramingError> {
    let (mut decoder, mut buffer) = (BodyDecoder::new(framing), BytesMut::new());
    let mut body = WholeBody::default();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while !body.ended {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(data) => {
                    assert!(!data.is_empty());
                    body.data.extend_from_slice(&data);
                }
                Decoded::Trailers(trailers) => body.trailers = Some(trailers),
                Decoded::End => body.ended = true,
                Decoded::NeedMore => break,
            }
        }
    }
    body.left = buffer.to_vec();
    Ok(body)
}

fn chunked(bytes: &str) -> Result<WholeBody, FramingError> {
    decode(Framing::Chunked, [bytes.as_bytes()])
}

#[test]
fn a_chunked_body_ends_where_it_ends() {
    let body = chunked("5\r\nhello\r\n00A;ext=\"1\"\r\n, the rest\r\n0\r\n\r\nGET").unwrap();
    assert_eq!((&body.data[..], &body.left[..]), (&b"hello, the rest"[..], &b"GET"[..]));
    assert!(body.ended && body.trailers.is_none());
}

#[test]
fn trailers_keep_to_the_limits_given() {
    let limits = Limits { head: 64, field: 16, fields: 2, ..Limits::REQUEST };
    let read = |trailers: &str| {
        let mut decoder = BodyDecoder::new(Framing::Chunked).with_trailer_limits(limits);
        decoder.decode(&mut BytesMut::from(&*format!("0\r\n{trailers}\r\n")))
    };
    assert!(matches!(read("a: 1\r\nb: 2\r\n"), Ok(Decoded::Trailers(_))));
    for large in ["a: 1\r\nb: 2\r\nc: 3\r\n".to_owned(), format!("a: {}\r\n", "x".repeat(20))] {
        assert!(matches!(read(&large), Err(FramingError::LargeTrailers)), "{large}");
    }
}

#[test]
fn trailers_pass_but_not_those_that_decide() {
    let body = chunked(
        "0\r\nx-sum: 1\r\nContent-Length: 5\r\nhost: a\r\nx-forwarded-for: 1\r\ngrpc-status: 0\r\n\r\nrest",
    )
    .unwrap();
    let trailers = body.trailers.unwrap();
    assert_eq!(
        trailers.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["x-sum", "grpc-status"]
    );
    assert_eq!(body.left, b"rest");
}

#[test]
fn malformed_chunks_are_refused() {
    for (bytes, error) in [
        ("\r\n", FramingError::ChunkLine),
        ("x\r\n", FramingError::ChunkLine),
        ("0x5\r\nhello\r\n", FramingError::ChunkLine),
        ("+5\r\nhello\r\n", FramingError::ChunkLine),
        ("-5\r\nhello\r\n", FramingError::ChunkLine),
        (" 5\r\nhello\r\n", FramingError::ChunkLine),
        ("5 \r\nhello\r\n", FramingError::ChunkLine),
        ("5\nhello\r\n", FramingError::ChunkLine),
        ("5;a\nb\r\nhello\r\n", FramingError::ChunkLine),
        ("5;a\rb\r\nhello\r\n", FramingError::ChunkLine),
        ("5\rX\r\nhello\r\n", FramingError::ChunkLine),
        ("10000000000000000\r\n", FramingError::ChunkLine),
        ("fffffffffffffffff", FramingError::ChunkLine),
        ("5\r\nhelloX\r\n", FramingError::ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", FramingError::ChunkEnd),
        ("0\r\nx y\r\n\r\n", FramingError::Trailers),
        ("0\r\nx : y\r\n\r\n", FramingError::Trailers),
        ("0\r\na: b\n\r\n", FramingError::Trailers),
        ("0\r\na: b\r\n folded\r\n\r\n", FramingError::Trailers),
    ] {
        assert_eq!(chunked(bytes).unwrap_err(), error, "{bytes:?}");
    }
    assert_eq!(chunked(&format!("5;{}", "x".repeat(2000))).unwrap_err(), FramingError::ChunkLine);
    let extended = format!("1;{}\r\nx\r\n", "x".repeat(900)).repeat(20);
    assert_eq!(chunked(&extended).unwrap_err(), FramingError::Extensions);
    let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(chunked(&many).unwrap_err(), FramingError::LargeTrailers);
    let large = format!("0\r\n{}", format!("a: {}\r\n", "x".repeat(9000)).repeat(8));
    assert_eq!(chunked(&large).unwrap_err(), FramingError::LargeTrailers);
}

#[test]
fn the_end_of_the_connection_ends_only_what_runs_until_it() {
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(decoder.is_ended());
    for framing in [Framing::Length(1), Framing::Chunked] {
        assert_eq!(BodyDecoder::new(framing).end_of_input(), Err(FramingError::Truncated));
    }
    assert_eq!(BodyDecoder::new(Framing::Empty).end_of_input(), Ok(()));
}

#[test]
fn what_is_written_is_read_again() {
    let head = read(
        b"POST /a?b HTTP/1.1\r\nx: 1\r\nHost: a.test\r\nContent-Length: 9\r\nconnection: x\r\nx: 2\r\n\r\n",
    )
    .unwrap()
    .unwrap();
    let (method, uri) = (head.request.method(), head.request.uri());
    let mut out = BytesMut::new();
    write_request_head(&mut out, method, uri, head.request.headers(), Framing::Chunked);
    assert_eq!(
        &out[..],
        b"POST /a?b HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\nx: 1\r\nx: 2\r\n\r\n"
    );
}

#[test]
fn a_reply_head_is_written_for_who_asked() {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-length", http::HeaderValue::from_static("9"));
    headers.insert("x", http::HeaderValue::from_static("1"));
    let mut start = ReplyStart {
        version: Version::HTTP_11,
        status: StatusCode::OK,
        headers: &headers,
        framing: Framing::Length(5),
        persistence: Persistence::KeepAlive,
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    };
    let written = |start: &ReplyStart<'_>| {
        let mut out = BytesMut::new();
        start.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let end = "x: 1\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    assert_eq!(written(&start), format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{end}"));
    start.version = Version::HTTP_10;
    let expected =
        format!("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n{end}");
    assert_eq!(written(&start), expected);
    (start.framing, start.persistence) = (Framing::UntilClose, Persistence::Close);
    assert_eq!(written(&start), format!("HTTP/1.0 200 OK\r\nconnection: close\r\n{end}"));
}

#[test]
fn chunk_sizes_are_written_in_hexadecimal() {
    let mut out = BytesMut::new();
    for size in [1, 15, 16, 0xabcd, usize::MAX] {
        write_chunk_size(&mut out, size);
    }
    assert_eq!(&out[..], b"1\r\nf\r\n10\r\nabcd\r\nffffffffffffffff\r\n");
}

/// The request that a head makes, as text; `None` where it makes none. When a refusal comes may differ: an
/// incomplete line is looked at once more only when it is complete.
fn accepted(head: Result<Option<RequestHead>, HeadError>) -> Option<String> {
    head.ok().flatten().map(|head| format!("{head:?}"))
}

/// A head that is mostly well-formed, so that changes to it matter.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let field = "(content-length|transfer-encoding|host|x-a|expect|connection)( ?):( {0,2})\
                 (chunked|5|\\+5|05|a,b|close|\r| )?(\r\n|\r\n|\r\n|\n|\r\n )";
    let line = "(GET|POST|HEAD) (/|/a\\?b|\\*|http://a/|#) HTTP/1\\.[01](\r\n|\r\n|\n)";
    (line, prop::collection::vec(field, 0..6), "(\r\n|\r\n|\n|)", ".{0,8}")
        .prop_map(|(line, fields, end, rest)| (line + &fields.concat() + &end + &rest).into_bytes())
}

fn nearly_chunks() -> impl Strategy<Value = Vec<u8>> {
    let chunk = "(1\r\nx|3;e=1\r\nabc|03\r\nabc|5\r\nhello|4\r\nabc|1 \r\nx)(\r\n|\r\n|\r\n|\n)";
    (prop::collection::vec(chunk, 0..4), "0(\r\n|\n)(x: y\r\n|te: 1\r\n|bad\r\n)?(\r\n|\n)?rest")
        .prop_map(|(chunks, end)| (chunks.concat() + &end).into_bytes())
}

proptest! {
    #[test]
    fn a_head_in_pieces_is_as_the_whole(bytes in nearly_a_head()) {
        let whole = accepted(read(&bytes));
        for cut in 0..=bytes.len() {
            let (mut reader, mut buffer) = (HeadReader::default(), BytesMut::from(&bytes[..cut]));
            let mut head = reader.request(&mut buffer, &Limits::REQUEST);
            if matches!(head, Ok(None)) {
                buffer.extend_from_slice(&bytes[cut..]);
                head = reader.request(&mut buffer, &Limits::REQUEST);
            }
            prop_assert_eq!(accepted(head), whole.clone());
        }
    }

    #[test]
    fn another_reader_finds_the_same_in_what_is_accepted(bytes in nearly_a_head()) {
        if let Ok(Some(head)) = read(&bytes) {
            let mut room = [httparse::EMPTY_HEADER; Limits::MOST_FIELDS];
            let mut other = httparse::Request::new(&mut room);
            prop_assert!(other.parse(&bytes).unwrap().is_complete());
            prop_assert_eq!(Some(head.request.method().as_str()), other.method);
            prop_assert_eq!(Some(head.request.uri().to_string()), other.path.map(str::to_owned));
            let mut fields: Vec<_> =
                other.headers.iter().map(|field| (field.name.to_lowercase(), field.value)).collect();
            // The map groups them by name.
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let headers = head.request.headers();
            let mut ours: Vec<_> =
                headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes())).collect();
            ours.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(ours, fields);
        }
    }

    #[test]
    fn chunks_in_pieces_are_as_the_whole(bytes in nearly_chunks()) {
        let whole = decode(Framing::Chunked, [&bytes[..]]);
        for cut in 0..=bytes.len() {
            prop_assert_eq!(&decode(Framing::Chunked, [&bytes[..cut], &bytes[cut..]]), &whole);
        }
        prop_assert_eq!(&decode(Framing::Chunked, bytes.chunks(1)), &whole);
    }

    #[test]
    fn nothing_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = HeadReader::default().reply(&mut BytesMut::from(&bytes[..]), &Method::GET, &Limits::REPLY);
        let _ = decode(Framing::Chunked, bytes.chunks(7));
    }

    #[test]
    fn chunks_that_we_write_are_read_as_they_were(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8)
    ) {
        let mut out = BytesMut::new();
        for piece in &pieces {
            write_chunk_size(&mut out, piece.len());
            out.extend_from_slice(piece);
            out.extend_from_slice(CHUNK_END);
        }
        out.extend_from_slice(LAST_CHUNK);
        let body = decode(Framing::Chunked, [&out[..]]).unwrap();
        prop_assert!(body.ended && body.left.is_empty());
        prop_assert_eq!(body.data, pieces.concat());
    }
}
