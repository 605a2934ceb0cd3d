//! A connection taken for one request.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use http::{Request, Response};

use crate::endpoint::ActiveRequest;
use crate::failure::SendError;
use crate::request_body::RequestBody;
use crate::response_body::UpstreamBody;
use crate::shelf::{PooledConnection, Shelf};

/// A connection taken for one request. Dropping it, or the future of [`Lease::send`], closes the
/// connection.
pub struct Lease {
    pub(crate) connection: PooledConnection,
    pub(crate) shelf: Rc<Shelf>,
    pub(crate) active: ActiveRequest,
    pub(crate) origin: Origin,
}

/// Where a leased connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was opened for this request.
    Opened,
    /// It served another before.
    Reused,
}

impl Lease {
    /// Whether the connection served another request before. Only then can the upstream have closed it
    /// out of idleness.
    pub fn reused(&self) -> bool {
        self.origin == Origin::Reused
    }

    /// Our own address on the connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.connection.http1.local_address()
    }

    /// Sends a request and awaits the reply's head, which may come before the request's body is sent.
    ///
    /// The URI is in origin form (`/path?query`) and `Host` stands among the headers. The framing is set
    /// from the body. Trailers are sent where a `Trailer` field announces them. There is no timeout here.
    pub fn send(
        mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, SendError>> {
        // Queued at once, so that the future does not carry the body too.
        let head = self.connection.http1.begin(request);
        async move {
            match poll_fn(|cx| self.connection.http1.poll_reply(cx)).await {
                Ok(response) => Ok(response.map(|()| self.reply_body())),
                // The head was kept until now, for who may repeat the request.
                Err(cause) => Err(self.connection.http1.explain(Some(head), cause)),
            }
        }
    }

    fn reply_body(self) -> UpstreamBody {
        UpstreamBody::new(self.connection, self.shelf, self.active)
    }
}
