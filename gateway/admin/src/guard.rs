//! Who may talk to the admin port: a browser that was led here from a foreign page may not.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HOST, HeaderMap, ORIGIN};

/// Refuses a foreign `Host` (DNS rebinding) and a foreign `Origin` (a page of any other address, be it an IP address
/// or another port of this machine).
pub(crate) async fn refuse_foreigners(request: Request, next: Next) -> Response {
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "the admin port answers only to its own address; ask it as localhost\n")
        .into_response()
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    // HTTP/1.0 without Host comes from no browser.
    let host_is_local = host.is_none_or(is_local_name);
    let origin_is_own = headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((_, page), host)| page.eq_ignore_ascii_case(host))
    });
    host_is_local && origin_is_own
}

fn is_local_name(authority: &str) -> bool {
    let host = portcullis_message::normalise_host(authority);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_local_names_pass() {
        assert!(is_local(&headers("127.0.0.1:15000", None)));
        assert!(is_local(&headers("localhost:15000", Some("http://localhost:15000"))));
        assert!(is_local(&headers("[::1]:15000", None)));
        assert!(!is_local(&headers("evil.example.com", None)));
        assert!(!is_local(&headers("localhost:15000", Some("https://evil.example.com"))));
        assert!(!is_local(&headers("localhost:15000", Some("null"))));
        for page in ["http://203.0.113.5", "http://127.0.0.1:8080", "http://localhost"] {
            assert!(!is_local(&headers("127.0.0.1:15000", Some(page))), "{page}");
        }
    }
}
