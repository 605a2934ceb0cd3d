//! HTTP/1 as a client or an upstream sends it: a request and its body, whole and in two pieces, and a reply.

use bytes::BytesMut;
use http::Method;
use portcullis_message::http1::{BodyDecoder, Decoded, Framing, HeadReader, Limits};

/// How much a body may yield before it has to end: more than any input holds.
const MOST_FRAMES: usize = 1 << 17;

/// A connection reads the same whichever way its bytes arrive, and what follows a message is not its.
pub(crate) fn run(input: &[u8]) {
    let whole = read_request([input, &[]]);
    let middle = input.split_at(input.len() / 2);
    assert_eq!(whole, read_request([middle.0, middle.1]), "in two pieces");
    let mut buffer = BytesMut::from(input);
    let reply = HeadReader::default().reply(&mut buffer, &Method::GET, &Limits::REPLY);
    if let Ok(Some(reply)) = reply {
        read_body(reply.framing, [&buffer, &[]]);
    }
}

/// The method, target and body of a well-formed request; `None` for anything else.
fn read_request(pieces: [&[u8]; 2]) -> Option<(Method, String, Vec<u8>)> {
    let (mut reader, mut buffer) = (HeadReader::default(), BytesMut::new());
    let mut pieces = pieces.into_iter();
    let head = loop {
        buffer.extend_from_slice(pieces.next()?);
        match reader.request(&mut buffer, &Limits::REQUEST) {
            Ok(Some(head)) => break head,
            Ok(None) => {}
            Err(_) => return None,
        }
    };
    assert_ne!(head.framing, Framing::UntilClose, "no request ends with its connection");
    let body = read_body(head.framing, [&buffer, pieces.next().unwrap_or_default()])?;
    Some((head.request.method().clone(), head.request.uri().to_string(), body))
}

/// The bytes of a body that is complete and well-formed.
fn read_body(framing: Framing, pieces: [&[u8]; 2]) -> Option<Vec<u8>> {
    let (mut decoder, mut body) = (BodyDecoder::new(framing), Vec::new());
    let (mut buffer, mut pieces) = (BytesMut::new(), pieces.into_iter());
    for _ in 0..MOST_FRAMES {
        match decoder.decode(&mut buffer).ok()? {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(_) | Decoded::End => return Some(body),
            Decoded::NeedMore => buffer.extend_from_slice(pieces.next()?),
        }
    }
    panic!("a body without end");
}
