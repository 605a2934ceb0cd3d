//! How large the head of a request may be that no reader of ours has measured.

use http::{Version, request::Parts};
use portcullis_model::HeadLimits;

use crate::ProxyError;

/// Refuses the head of an HTTP/2 request for its size or the number of its fields, those included that are
/// dropped later. HTTP/1's is measured where it is read.
pub(crate) fn check_head(head: &Parts, limits: Option<&HeadLimits>) -> Result<(), ProxyError> {
    let Some(limits) = limits.filter(|_| head.version == Version::HTTP_2) else { return Ok(()) };
    if head.headers.len() > limits.fields {
        return Err(ProxyError::HeadTooLarge("http2.too_many_fields"));
    }
    let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    // It becomes the upstream's request line.
    if path > limits.line {
        return Err(ProxyError::HeadTooLarge("http2.path_too_long"));
    }
    let mut total = path + head.uri.authority().map_or(0, |authority| authority.as_str().len());
    for (name, value) in &head.headers {
        let field = name.as_str().len() + value.len();
        if field > limits.field {
            return Err(ProxyError::HeadTooLarge("http2.field_too_large"));
        }
        total += field;
    }
    if total > limits.total {
        return Err(ProxyError::HeadTooLarge("http2.head_too_large"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn details(version: Version, fields: usize, length: usize) -> Option<&'static str> {
        details_of("http://a.test/path", version, fields, length)
    }

    fn details_of(
        uri: &str,
        version: Version,
        fields: usize,
        length: usize,
    ) -> Option<&'static str> {
        let mut request = Request::builder().version(version).uri(uri);
        for _ in 0..fields {
            request = request.header("x", "v".repeat(length));
        }
        let limits = HeadLimits { total: 1000, field: 100, line: 100, fields: 20 };
        let (head, ()) = request.body(()).unwrap().into_parts();
        match check_head(&head, Some(&limits)) {
            Err(ProxyError::HeadTooLarge(details)) => Some(details),
            _ => None,
        }
    }

    #[test]
    fn a_head_is_measured_with_every_repetition() {
        assert_eq!(details(Version::HTTP_2, 20, 1), None);
        assert_eq!(details(Version::HTTP_2, 21, 1), Some("http2.too_many_fields"));
        assert_eq!(details(Version::HTTP_2, 1, 99), None);
        assert_eq!(details(Version::HTTP_2, 1, 100), Some("http2.field_too_large"));
        assert_eq!(details(Version::HTTP_2, 10, 98), Some("http2.head_too_large"));
        assert_eq!(details(Version::HTTP_11, 21, 1), None, "its reader has measured it");
        let long = format!("http://a.test/{}", "p".repeat(100));
        assert_eq!(details_of(&long, Version::HTTP_2, 0, 0), Some("http2.path_too_long"));
    }
}
