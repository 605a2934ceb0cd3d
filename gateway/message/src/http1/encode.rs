//! Writing heads, chunks and trailers. Framing is written from what the body is; fields that claim another
//! are left out.

use bytes::{BufMut, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::http1::date::DATE_LENGTH;
use crate::http1::framing::{Framing, Persistence};

/// What follows the bytes of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the head of a request in origin form. `Content-Length`, `Transfer-Encoding`, `Connection` and
/// `Upgrade` of `headers` are left out; [`Framing::UntilClose`] writes no framing, as [`Framing::Empty`].
pub fn write_request_head(
    out: &mut BytesMut,
    method: &Method,
    target: &Uri,
    headers: &HeaderMap,
    framing: Framing,
) {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    out.reserve(method.as_str().len() + path.len() + size_of_fields(headers) + ROOM);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(path.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    // First, where every recipient looks for it.
    if let Some(host) = headers.get(HOST) {
        write_field(out, b"host", host.as_bytes());
    }
    write_framing(out, framing);
    for (name, value) in headers {
        if *name != HOST && !is_ours(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.put_slice(b"\r\n");
}

/// The head of a reply.
#[derive(Clone, Copy, Debug)]
pub struct ReplyStart<'a> {
    /// That of the request: HTTP/1.0 is told what it cannot assume.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// The fields. `Content-Length`, `Transfer-Encoding`, `Connection` and `Upgrade` are left out.
    pub headers: &'a HeaderMap,
    /// Where the body ends; [`Framing::UntilClose`] goes with [`Persistence::Close`].
    pub framing: Framing,
    /// Whether the connection stays open.
    pub persistence: Persistence,
    /// The date of now, where `headers` has none.
    pub date: &'a [u8; DATE_LENGTH],
}

impl ReplyStart<'_> {
    /// Writes the head.
    pub fn write(&self, out: &mut BytesMut) {
        out.reserve(size_of_fields(self.headers) + ROOM);
        write_status_line(out, self.version, self.status);
        write_framing(out, self.framing);
        match (self.persistence, self.version) {
            (Persistence::Close, _) => out.put_slice(b"connection: close\r\n"),
            (Persistence::KeepAlive, Version::HTTP_10) => {
                out.put_slice(b"connection: keep-alive\r\n");
            }
            _ => {}
        }
        let mut dated = false;
        for (name, value) in self.headers {
            if !is_ours(name) {
                dated |= *name == DATE;
                write_field(out, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        if !dated {
            write_field(out, b"date", self.date);
        }
        out.put_slice(b"\r\n");
    }
}

fn write_status_line(out: &mut BytesMut, version: Version, status: StatusCode) {
    let version = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    out.put_slice(version);
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.put_slice(b"\r\n");
}

/// Makes the head that was just written ask for another protocol, or, a 101, switch to it.
pub fn add_upgrade(out: &mut BytesMut, protocol: &HeaderValue) {
    // Before the empty line that ends the head.
    out.truncate(out.len().saturating_sub(b"\r\n".len()));
    write_field(out, b"connection", b"upgrade");
    write_field(out, b"upgrade", protocol.as_bytes());
    out.put_slice(b"\r\n");
}

/// Writes the interim reply that has a client send its body.
pub fn write_continue(out: &mut BytesMut) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Writes an interim reply (1xx). Fields of framing are left out.
pub fn write_interim(out: &mut BytesMut, status: StatusCode, headers: &HeaderMap) {
    out.reserve(size_of_fields(headers) + ROOM);
    write_status_line(out, Version::HTTP_11, status);
    for (name, value) in headers {
        if !is_ours(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.put_slice(b"\r\n");
}

/// Writes the line that begins a chunk of so many bytes, which are never none.
pub fn write_chunk_size(out: &mut BytesMut, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    out.reserve(digits as usize + CHUNK_END.len());
    for place in (0..digits).rev() {
        let digit = DIGITS.get(size >> (4 * place) & 0xf).copied().unwrap_or(b'0');
        out.put_u8(digit);
    }
    out.put_slice(CHUNK_END);
}

/// Writes the end of a chunked body with trailers. Framing fields are left out.
pub fn write_trailers(out: &mut BytesMut, trailers: &HeaderMap) {
    out.reserve(size_of_fields(trailers) + LAST_CHUNK.len());
    out.put_slice(b"0\r\n");
    for (name, value) in trailers {
        if !is_ours(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.put_slice(b"\r\n");
}

/// Enough for a start line, framing, connection and date.
const ROOM: usize = 192;

/// Whether a field is ours to write.
fn is_ours(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == CONNECTION || *name == UPGRADE
}

fn write_framing(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            let mut digits = itoa::Buffer::new();
            write_field(out, b"content-length", digits.format(length).as_bytes());
        }
        Framing::Chunked => write_field(out, b"transfer-encoding", b"chunked"),
        Framing::Empty | Framing::UntilClose => {}
    }
}

fn write_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn size_of_fields(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}
