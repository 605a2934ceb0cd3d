//! The first line of a head: a request line or a status line (RFC 9112 sections 3 and 4).

use std::ops::Range;

use http::{Method, StatusCode, Version};

use crate::http1::error::HeadError;

/// What a request line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    /// Where in the line the target lies.
    pub(crate) target: Range<usize>,
    pub(crate) version: Version,
}

/// Reads `METHOD TARGET HTTP/1.x`, one blank between each.
pub(crate) fn read_request_line(line: &[u8]) -> Result<RequestLine, HeadError> {
    let blank = memchr::memchr(b' ', line).ok_or(HeadError::Malformed)?;
    let (method, rest) = line.split_at(blank);
    let rest = rest.get(1..).unwrap_or_default();
    let length = memchr::memchr(b' ', rest).ok_or(HeadError::Malformed)?;
    let (target, version) = rest.split_at(length);
    let version = read_version(version.get(1..).unwrap_or_default())?;
    if target.is_empty() {
        return Err(HeadError::Malformed);
    }
    // `Uri` would cut it off without a word.
    if memchr::memchr(b'#', target).is_some() {
        return Err(HeadError::Fragment);
    }
    Ok(RequestLine {
        method: Method::from_bytes(method).map_err(|_| HeadError::Malformed)?,
        target: blank + 1..blank + 1 + length,
        version,
    })
}

/// Reads `HTTP/1.x STATUS REASON`; the reason may be missing.
pub(crate) fn read_status_line(line: &[u8]) -> Result<(Version, StatusCode), HeadError> {
    let (version, rest) = line.split_at_checked("HTTP/1.1".len()).ok_or(HeadError::Malformed)?;
    let version = read_version(version)?;
    let [b' ', hundreds, tens, ones, reason @ ..] = rest else { return Err(HeadError::Malformed) };
    let status = StatusCode::from_bytes(&[*hundreds, *tens, *ones]);
    let status = status.map_err(|_| HeadError::Malformed)?;
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(HeadError::Malformed),
    };
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if reason.iter().all(is_text) { Ok((version, status)) } else { Err(HeadError::Malformed) }
}

fn read_version(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', digit, rest @ ..]
            if digit.is_ascii_digit() && !rest.contains(&b' ') =>
        {
            Err(HeadError::Version)
        }
        _ => Err(HeadError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_has_three_parts() {
        let line = read_request_line(b"PURGE /a?b HTTP/1.0").unwrap();
        let method = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(line, RequestLine { method, target: 6..10, version: Version::HTTP_10 });
        for malformed in [
            &b""[..],
            b"GET",
            b"GET ",
            b"GET /",
            b"GET / ",
            b"GET  / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET / HTTP/1.1 x",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/x",
            b"GET / HTTP/1.1\r",
            b"G\0T / HTTP/1.1",
        ] {
            let error = read_request_line(malformed).unwrap_err();
            let expected =
                if malformed.ends_with(b"\r") { HeadError::Version } else { HeadError::Malformed };
            assert_eq!(error, expected, "{:?}", String::from_utf8_lossy(malformed));
        }
        assert_eq!(read_request_line(b"GET / HTTP/2.0"), Err(HeadError::Version));
    }

    #[test]
    fn a_status_line_has_three_digits() {
        assert_eq!(read_status_line(b"HTTP/1.1 200 OK"), Ok((Version::HTTP_11, StatusCode::OK)));
        for whole in ["HTTP/1.0 200", "HTTP/1.0 200 ", "HTTP/1.0 200 all\tis w\u{e4}ll"] {
            assert_eq!(read_status_line(whole.as_bytes()), Ok((Version::HTTP_10, StatusCode::OK)));
        }
        for malformed in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 20",
            "HTTP/1.1 20 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 2000",
            "HTTP/1.1 200OK",
            "HTTP/1.1 099 x",
            "HTTP/1.1 +20 x",
            "HTTP/1.1 200 a\rb",
            "HTTP/1.1 200 a\0",
            "ICY 200 OK",
        ] {
            assert_eq!(
                read_status_line(malformed.as_bytes()),
                Err(HeadError::Malformed),
                "{malformed}"
            );
        }
        assert_eq!(read_status_line(b"HTTP/2.0 200 OK"), Err(HeadError::Version));
    }
}
