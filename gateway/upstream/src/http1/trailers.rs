//! Which trailers of a request are sent on.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use portcullis_message::http1::is_forbidden_trailer;

/// The trailers that the head's `Trailer` fields announced and that may be trailers at all.
pub(crate) fn keep_announced(trailers: &HeaderMap, announced: &[HeaderValue]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in trailers {
        if is_announced(name, announced) && !is_forbidden_trailer(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

fn is_announced(name: &HeaderName, announced: &[HeaderValue]) -> bool {
    announced
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_announced_and_is_harmless_is_kept() {
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "x-other", "host", "content-length", "x-forwarded-for", "x_sum"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        trailers.append("x-sum", HeaderValue::from_static("2"));
        let announced = [
            HeaderValue::from_static("host, X-Sum, x_sum, x-forwarded-for"),
            "content-length".parse().unwrap(),
        ];
        let kept = keep_announced(&trailers, &announced);
        assert_eq!((kept.len(), kept.keys_len()), (2, 1));
        assert_eq!(kept.get_all("x-sum").iter().count(), 2);
    }
}
