//! What is kept of a request so that it can be sent once more.

use std::sync::Arc;

use http::Request;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::Body as _;
use portcullis_message::Body;
use portcullis_model::RetryPolicy;
use portcullis_upstream::{Recording, RequestBody, RequestProgress};

use crate::retry::{Safety, UnsafeRepeats};

/// So much of a body is kept, of requests that may be executed twice. What is longer is sent once.
const MOST_KEPT: usize = 64 << 10;

/// Which attempt a repeat is, the first being 1. The first itself does not say so.
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// What is kept of a request. One without a body costs nothing, unless its rule looks at replies or limits attempts:
/// then its head is copied. Otherwise a failure brings the head back.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    head: Option<Box<Parts>>,
    body: KeptBody,
    /// How long the body may be.
    limit: Option<u64>,
    progress: Option<Arc<RequestProgress>>,
}

/// What is kept of a body.
#[derive(Debug, Default)]
enum KeptBody {
    /// There is none.
    #[default]
    Empty,
    /// What passes, up to the bound.
    Recorded(Arc<Recording>),
    /// Nothing: it goes once.
    Once,
}

impl Kept {
    /// Of a request that is about to be sent for the first time. Its body may be `limit` bytes long.
    pub(crate) fn of(
        request: &mut Request<RequestBody>,
        policy: &RetryPolicy,
        repeats: UnsafeRepeats,
        limit: Option<u64>,
    ) -> Self {
        let has_body = !request.body().is_end_stream();
        let head_is_lost = policy.per_try_timeout.is_some() || policy.looks_at_statuses();
        if policy.attempts > 0 && (has_body || head_is_lost) {
            return Kept::of_one(request, policy, repeats, limit);
        }
        Kept { body: if has_body { KeptBody::Once } else { KeptBody::Empty }, ..Kept::default() }
    }

    fn of_one(
        request: &mut Request<RequestBody>,
        policy: &RetryPolicy,
        repeats: UnsafeRepeats,
        limit: Option<u64>,
    ) -> Self {
        let mut kept = Kept { limit, ..Kept::default() };
        let harmless = Safety::of(request.method(), request.headers(), repeats) != Safety::Unsafe;
        if !request.body().is_end_stream() {
            // Longer ones are known from the start to be sent once.
            let fits = request.body().size_hint().lower() <= MOST_KEPT as u64;
            kept.progress = request.body().progress();
            kept.body = match harmless && fits {
                true => KeptBody::Recorded(request.body_mut().record(MOST_KEPT)),
                false => KeptBody::Once,
            };
        }
        let looks =
            policy.looks_at_statuses() || (policy.on.grpc_statuses != 0 && is_grpc(request));
        if harmless && (looks || policy.per_try_timeout.is_some()) {
            kept.head = Some(Box::new(copy_of(request)));
        }
        kept
    }

    /// The body's recording, which mirrors are fed from; made here where there is none yet. `None` for an empty one.
    pub(crate) fn recording(&self, request: &mut Request<RequestBody>) -> Option<Arc<Recording>> {
        match &self.body {
            KeptBody::Empty => None,
            KeptBody::Recorded(recording) => Some(recording.clone()),
            KeptBody::Once => Some(request.body_mut().record(0)),
        }
    }

    /// Keeps a head that a failure brought back.
    pub(crate) fn keep_head(&mut self, head: Option<Parts>) {
        if self.head.is_none() {
            self.head = head.map(Box::new);
        }
    }

    /// Whether the request is there to be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        let body = match &self.body {
            KeptBody::Empty => true,
            KeptBody::Recorded(recording) => recording.is_whole(),
            KeptBody::Once => false,
        };
        body && self.head.is_some()
    }

    /// What is kept of the head.
    pub(crate) fn head(&self) -> Option<&Parts> {
        self.head.as_deref()
    }

    /// The request once more.
    pub(crate) fn again(&self) -> Option<Request<RequestBody>> {
        let head = self.head.as_deref()?;
        let body = match &self.body {
            KeptBody::Empty => RequestBody::new(Body::Empty),
            KeptBody::Recorded(recording) => {
                RequestBody::again(recording, self.progress.clone(), self.limit)?
            }
            KeptBody::Once => return None,
        };
        Some(Request::from_parts(head.clone(), body))
    }
}

/// Says of a repeat which attempt it is.
pub(crate) fn count_attempt(request: &mut Request<RequestBody>, attempt: u32) {
    request.headers_mut().insert(ATTEMPT_COUNT, HeaderValue::from(attempt));
}

/// A head as it is sent, with what it asks of the connection.
pub(crate) fn copy_of(request: &Request<RequestBody>) -> Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.into_parts().0
}

fn is_grpc(request: &Request<RequestBody>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
