//! Interim replies (1xx) of upstreams on their way to a client that can take them.

use std::cell::{Cell, RefCell};

use bytes::BytesMut;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, LINK};
use http::header::{HeaderName, REFERRER_POLICY};
use http::{HeaderMap, Response};
use portcullis_message::http1::write_interim;

/// What hints are made of (RFC 8297, and what browsers read of them). Other fields end here: what a rule or a plugin takes
/// out of a reply would pass by it in an interim one.
const PASSED_ON: [HeaderName; 5] = [
    LINK,
    CONTENT_SECURITY_POLICY,
    CONTENT_SECURITY_POLICY_REPORT_ONLY,
    REFERRER_POLICY,
    HeaderName::from_static("cross-origin-embedder-policy"),
];

/// So many bytes wait for a client at most; what comes beyond them is left out.
const MOST_WAITING: usize = 16 << 10;

/// Those of one request, as HTTP/1 has them.
#[derive(Debug, Default)]
pub(crate) struct InterimReplies {
    taken: Cell<bool>,
    waiting: RefCell<BytesMut>,
}

impl InterimReplies {
    /// The client speaks a protocol that has them.
    pub(crate) fn accept(&self) {
        self.taken.set(true);
    }

    /// One came.
    pub(crate) fn add(&self, reply: &Response<()>) {
        if !self.taken.get() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        let before = waiting.len();
        write_interim(&mut waiting, reply.status(), &passed_on(reply.headers()));
        if waiting.len() > MOST_WAITING {
            waiting.truncate(before);
        }
    }

    /// Moves those that came to what is written next; whether there were any.
    pub(crate) fn take(&self) -> Option<BytesMut> {
        let mut waiting = self.waiting.borrow_mut();
        (!waiting.is_empty()).then(|| std::mem::take(&mut *waiting))
    }

    /// As new, for another request.
    pub(crate) fn reset(&self) {
        self.taken.take();
        self.waiting.take();
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in &PASSED_ON {
        for value in headers.get_all(name) {
            passed.append(name, value.clone());
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn hints(fields: &[(&'static str, &str)]) -> Response<()> {
        let mut reply = Response::new(());
        *reply.status_mut() = StatusCode::EARLY_HINTS;
        for (name, value) in fields {
            reply.headers_mut().append(*name, value.parse().unwrap());
        }
        reply
    }

    #[test]
    fn only_what_hints_are_made_of_passes() {
        let replies = InterimReplies::default();
        replies.accept();
        replies.add(&hints(&[
            ("set-cookie", "a=b"),
            ("link", "</a.css>"),
            ("content-length", "5"),
            ("link", "</b.css>"),
            ("x-portcullis-route", "x"),
        ]));
        assert_eq!(
            &*replies.take().unwrap(),
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.css>\r\n\r\n"
        );
        assert_eq!(replies.take(), None);
    }

    #[test]
    fn who_cannot_take_them_gets_none() {
        let replies = InterimReplies::default();
        replies.add(&hints(&[]));
        assert_eq!(replies.take(), None);
        replies.accept();
        replies.reset();
        replies.add(&hints(&[]));
        assert_eq!(replies.take(), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let replies = InterimReplies::default();
        replies.accept();
        let long = "x".repeat(MOST_WAITING / 2);
        (0..10).for_each(|_| replies.add(&hints(&[("link", &long)])));
        let waiting = replies.take().unwrap();
        assert!(waiting.len() > long.len() && waiting.len() <= MOST_WAITING);
        assert!(waiting.ends_with(b"\r\n\r\n"));
    }
}
