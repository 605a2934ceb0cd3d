//! What validating a request head costs: `head_cost read|validate TIMES` does the same work but for the
//! validation, so that the difference between the two, counted by `benches/instructions`, is the cost.
#![allow(clippy::expect_used, reason = "an example with fixed input")]

use std::hint::black_box;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use portcullis_message::{HeadRules, canonical_head};

/// What a browser sends, behind a load balancer.
const FIELDS: [(&str, &str); 11] = [
    ("host", "shop.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example.com/catalogue/bicycles"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "443"),
    ("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let validates = match arguments.next().as_deref() {
        Some("validate") => true,
        Some("read") => false,
        _ => return eprintln!("usage: head_cost read|validate TIMES"),
    };
    let times = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    for _ in 0..times {
        let (uri, mut headers) = black_box(head());
        if validates {
            let head = canonical_head(&Method::GET, uri, Version::HTTP_11, &mut headers, |_| {
                HeadRules::SAFEST
            });
            assert!(head.refusal.is_none(), "the head is valid");
            black_box(head);
        }
        black_box(headers);
    }
}

fn head() -> (Uri, HeaderMap) {
    let mut headers = HeaderMap::with_capacity(FIELDS.len());
    for (name, value) in FIELDS {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    (Uri::from_static("/catalogue/bicycles/42?colour=red&size=56"), headers)
}
