//! The body of a request as its client sends it, on its way into plugins.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::{Body, BodyError};
use portcullis_upstream::{RequestBody, RequestProgress};

/// The body as the client sends it, counted once anything of it is read.
pub(crate) enum ClientBody {
    Untouched(Body),
    Counted(RequestBody),
}

impl Default for ClientBody {
    fn default() -> Self {
        ClientBody::Untouched(Body::Empty)
    }
}

impl ClientBody {
    /// Counts what is read from now on, and breaks off where it is more than `most`; its progress, where it is not
    /// known yet.
    pub(crate) fn count(&mut self, most: u64) -> Option<Arc<RequestProgress>> {
        let ClientBody::Untouched(body) = self else { return None };
        let mut counted = RequestBody::new(std::mem::take(body));
        counted.limit(most);
        let progress = counted.progress();
        *self = ClientBody::Counted(counted);
        progress
    }

    /// How far it has come, where it is counted.
    pub(crate) fn progress(&self) -> Option<Arc<RequestProgress>> {
        match self {
            ClientBody::Untouched(_) => None,
            ClientBody::Counted(body) => body.progress(),
        }
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            ClientBody::Untouched(body) => Pin::new(body).poll_frame(cx),
            ClientBody::Counted(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Untouched(body) => body.is_end_stream(),
            ClientBody::Counted(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ClientBody::Untouched(body) => body.size_hint(),
            ClientBody::Counted(body) => body.size_hint(),
        }
    }
}
