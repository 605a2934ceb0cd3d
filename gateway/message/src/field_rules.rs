//! Which header fields a request may have: those that another server could read differently are refused.

use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

use crate::head_rules::Underscores;

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A name with `_`, which CGI and its heirs take for `-`.
    #[error("a header name with an underscore is refused")]
    Underscore,
    /// A value that begins or ends with a blank (RFC 9113 section 8.2.1).
    #[error("a header value begins or ends with a blank")]
    Blank,
    /// A field of an HTTP/1 connection in an HTTP/2 request (RFC 9113 section 8.2.2).
    #[error("HTTP/2 has no connection-specific fields")]
    ConnectionSpecific,
    /// Something else than `100-continue` is expected.
    #[error("only `Expect: 100-continue` can be met")]
    Expectation,
    /// `Content-Length` is no plain number.
    #[error("`Content-Length` is digits alone, without leading zeros")]
    ContentLength,
    /// `Content-Length` stands more than once.
    #[error("`Content-Length` is repeated")]
    RepeatedContentLength,
    /// `Transfer-Encoding` is something else than `chunked`, or the client speaks HTTP/1.0.
    #[error("`Transfer-Encoding` is `chunked`, once, on HTTP/1.1")]
    TransferEncoding,
    /// Two fields say how long the body is.
    #[error("`Content-Length` and `Transfer-Encoding` exclude each other")]
    TwoLengths,
}

/// Checks the fields of a request, `Host` apart. Bytes that no field may have are excluded by type.
///
/// # Errors
/// The first field that is refused.
pub(crate) fn check_fields(
    headers: &HeaderMap,
    version: Version,
    underscores: Underscores,
) -> Result<(), FieldError> {
    let mut framing = Framing::default();
    // Few names ask for more than this one look: their length tells.
    for (name, value) in headers {
        let text = name.as_str();
        if text.as_bytes().contains(&b'_') && underscores == Underscores::Refused {
            return Err(FieldError::Underscore);
        }
        check_ends(value.as_bytes())?;
        match text.len() {
            2 | 7 | 10 | 16 if version == Version::HTTP_2 => check_http2(text, value)?,
            6 => check_expectation(text, value)?,
            14 if *name == CONTENT_LENGTH => framing.add_length(value)?,
            17 if *name == TRANSFER_ENCODING => framing.add_encoding(value, version)?,
            _ => {}
        }
    }
    framing.check()
}

/// HTTP/1 cuts blanks off, HTTP/2 carries them; on the way from one to the other they would change the value.
fn check_ends(value: &[u8]) -> Result<(), FieldError> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(value.first()) || is_blank(value.last()) { Err(FieldError::Blank) } else { Ok(()) }
}

fn check_http2(name: &str, value: &HeaderValue) -> Result<(), FieldError> {
    match name {
        "te" if value.as_bytes().eq_ignore_ascii_case(b"trailers") => Ok(()),
        "te" | "upgrade" | "connection" | "keep-alive" | "proxy-connection" => {
            Err(FieldError::ConnectionSpecific)
        }
        _ => Ok(()),
    }
}

fn check_expectation(name: &str, value: &HeaderValue) -> Result<(), FieldError> {
    if name == "expect" && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(FieldError::Expectation);
    }
    Ok(())
}

/// The fields that say where a body ends.
#[derive(Default)]
struct Framing {
    lengths: usize,
    encodings: usize,
}

impl Framing {
    fn add_length(&mut self, value: &HeaderValue) -> Result<(), FieldError> {
        self.lengths += 1;
        let digits = value.as_bytes();
        let is_number =
            digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || !digits.starts_with(b"0"));
        // A longer one does not fit into 63 bits.
        if is_number && (1..=18).contains(&digits.len()) {
            Ok(())
        } else {
            Err(FieldError::ContentLength)
        }
    }

    fn add_encoding(&mut self, value: &HeaderValue, version: Version) -> Result<(), FieldError> {
        self.encodings += 1;
        if version == Version::HTTP_2 {
            return Err(FieldError::ConnectionSpecific);
        }
        if version == Version::HTTP_11 && value.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        Err(FieldError::TransferEncoding)
    }

    fn check(&self) -> Result<(), FieldError> {
        match (self.lengths, self.encodings) {
            (0 | 1, 0) | (0, 1) => Ok(()),
            (_, 0) => Err(FieldError::RepeatedContentLength),
            (0, _) => Err(FieldError::TransferEncoding),
            _ => Err(FieldError::TwoLengths),
        }
    }
}

impl FieldError {
    /// The rule's name, for the access log.
    pub fn code(self) -> &'static str {
        match self {
            FieldError::Underscore => "header_underscore_refused",
            FieldError::Blank => "header_blank_refused",
            FieldError::ConnectionSpecific => "header_connection_specific",
            FieldError::Expectation => "expectation_refused",
            FieldError::ContentLength => "content_length_invalid",
            FieldError::RepeatedContentLength => "content_length_repeated",
            FieldError::TransferEncoding => "transfer_encoding_refused",
            FieldError::TwoLengths => "content_length_and_transfer_encoding",
        }
    }

    /// The status that answers it.
    pub fn status(self) -> StatusCode {
        match self {
            FieldError::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn check(version: Version, fields: &[(&str, &str)]) -> Result<(), FieldError> {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        check_fields(&headers, version, Underscores::Refused)
    }

    #[test]
    fn usual_fields_pass() {
        for fields in [
            &[("accept", "*/*"), ("content-length", "0"), ("x-empty", "")][..],
            &[("content-length", "999999999999999999"), ("expect", "100-Continue")],
            &[("te", "trailers"), ("content-type", "application/grpc")],
            &[("x-tab", "a\tb"), ("x-many", "1"), ("x-many", "2"), ("cookie", "a_b=c_d")],
            &[("x-1234", ""), ("x-1234567890ab", "+1"), ("x-1234567890abcde", "gzip")],
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert_eq!(check(version, fields), Ok(()), "{fields:?}");
            }
        }
        let hops = [("connection", "x"), ("te", "gzip"), ("upgrade", "h2c"), ("keep-alive", "5")];
        assert_eq!(check(Version::HTTP_11, &hops), Ok(()));
        assert_eq!(check(Version::HTTP_11, &[("transfer-encoding", "Chunked")]), Ok(()));
    }

    #[test]
    fn what_could_be_read_differently_is_refused() {
        use FieldError::{
            Blank, ContentLength, Expectation, RepeatedContentLength, TransferEncoding, TwoLengths,
            Underscore,
        };
        for (fields, error) in [
            (&[("x_user", "root")][..], Underscore),
            (&[("content_length", "5")], Underscore),
            (&[("_", "")], Underscore),
            (&[("x-a", " b")], Blank),
            (&[("x-a", "b\t")], Blank),
            (&[("x-a", " ")], Blank),
            (&[("expect", "")], Expectation),
            (&[("expect", "200-ok")], Expectation),
            (&[("expect", "100-continue"), ("expect", "x")], Expectation),
            (&[("content-length", "")], ContentLength),
            (&[("content-length", "0001")], ContentLength),
            (&[("content-length", "00")], ContentLength),
            (&[("content-length", "+1")], ContentLength),
            (&[("content-length", "-1")], ContentLength),
            (&[("content-length", "1 1")], ContentLength),
            (&[("content-length", "1,1")], ContentLength),
            (&[("content-length", "0x1")], ContentLength),
            (&[("content-length", "9999999999999999999")], ContentLength),
            (&[("content-length", "1"), ("content-length", "1")], RepeatedContentLength),
            (&[("content-length", "1"), ("content-length", "2")], RepeatedContentLength),
            (&[("transfer-encoding", "gzip, chunked")], TransferEncoding),
            (&[("transfer-encoding", "identity")], TransferEncoding),
            (&[("transfer-encoding", "chunked, chunked")], TransferEncoding),
            (&[("transfer-encoding", "xchunked")], TransferEncoding),
            (&[("transfer-encoding", "")], TransferEncoding),
            (
                &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                TransferEncoding,
            ),
            (&[("transfer-encoding", "chunked"), ("content-length", "1")], TwoLengths),
        ] {
            assert_eq!(check(Version::HTTP_11, fields), Err(error), "{fields:?}");
        }
        assert_eq!(
            check(Version::HTTP_10, &[("transfer-encoding", "chunked")]),
            Err(TransferEncoding)
        );
    }

    #[test]
    fn http2_has_no_connection_specific_fields() {
        for field in [
            ("connection", "close"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
        ] {
            assert_eq!(
                check(Version::HTTP_2, &[field]),
                Err(FieldError::ConnectionSpecific),
                "{field:?}"
            );
        }
    }

    #[test]
    fn underscores_pass_where_they_are_allowed_and_nothing_else_does() {
        let check = |name: &'static str, value: &'static str| {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            check_fields(&headers, Version::HTTP_11, Underscores::Allowed)
        };
        assert_eq!(check("x_user", "root"), Ok(()));
        assert_eq!(check("content_length", "no number"), Ok(()));
        assert_eq!(check("x_user", " root"), Err(FieldError::Blank));
        assert_eq!(check("content-length", "+1"), Err(FieldError::ContentLength));
    }

    #[test]
    fn an_expectation_is_answered_with_417() {
        assert_eq!(FieldError::Expectation.status(), 417);
        assert_eq!(FieldError::Underscore.status(), 400);
    }

    proptest! {
        #[test]
        fn a_length_is_taken_exactly_where_it_prints_the_same(text in "[0-9+ -]{0,20}") {
            let taken = check(Version::HTTP_11, &[("content-length", &text)]).is_ok();
            let number = text.parse::<u64>().ok().filter(|number| *number < 1_000_000_000_000_000_000);
            prop_assert_eq!(taken, number.is_some_and(|number| number.to_string() == text));
        }
    }
}
