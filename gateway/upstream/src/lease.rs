//! A connection taken for one request.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use portcullis_exchange::UpstreamTlsFacts;

use crate::endpoint::ActiveRequest;
use crate::failure::SendError;
use crate::http2::{self, StreamPlace};
use crate::pooled::{Origin, PooledConnection};
use crate::request_body::RequestBody;
use crate::response_body::UpstreamBody;
use crate::shelf::Shelf;

/// A connection taken for one request, or a place on one that others use too. Dropping it, or the future of
/// [`Lease::send`], closes the connection, or gives up the place alone.
pub struct Lease {
    pub(crate) way: Way,
    pub(crate) shelf: Rc<Shelf>,
    pub(crate) active: ActiveRequest,
    pub(crate) origin: Origin,
}

/// What a request goes by.
pub(crate) enum Way {
    /// A connection of its own.
    Http1(PooledConnection),
    /// A place on a shared one.
    Http2(StreamPlace),
}

impl Lease {
    /// Whether the connection served another request before. Only then can the upstream have closed it
    /// out of idleness.
    pub fn reused(&self) -> bool {
        self.origin == Origin::Reused
    }

    /// Where the connection goes to. An endpoint that is a name may lead elsewhere by now.
    pub fn peer(&self) -> SocketAddr {
        match &self.way {
            Way::Http1(connection) => connection.http1.peer(),
            Way::Http2(place) => place.connection().peer(),
        }
    }

    /// Our own address on the connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.way {
            Way::Http1(connection) => connection.http1.local_address(),
            Way::Http2(place) => place.connection().local_address(),
        }
    }

    /// What the TLS handshake settled; `None` in plain text.
    pub fn tls(&self) -> Option<&Arc<UpstreamTlsFacts>> {
        match &self.way {
            Way::Http1(connection) => connection.http1.tls_facts(),
            Way::Http2(place) => place.connection().tls_facts(),
        }
    }

    /// Sends a request and awaits the reply's head, which may come before the request's body is sent.
    ///
    /// The URI is in origin form (`/path?query`) and `Host` stands among the headers. The framing is set
    /// from the body. Trailers are sent where a `Trailer` field announces them. There is no timeout here.
    pub fn send(
        self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, SendError>> {
        self.send_telling(request, |_| {})
    }

    /// The same, telling of the interim replies (1xx) that are for the client, so all but 100 and 101; of 16 at most.
    pub fn send_telling<T: FnMut(&Response<()>)>(
        self,
        request: Request<RequestBody>,
        mut tell: T,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, SendError>> + use<T> {
        let Lease { way, shelf, active, .. } = self;
        // Queued at once, so that the future does not carry the body too.
        let sending = match way {
            Way::Http1(mut connection) => {
                let head = connection.http1.begin(request);
                Sending::Http1(connection, head)
            }
            Way::Http2(place) => Sending::Http2(http2::begin(place, request)),
        };
        async move {
            match sending {
                Sending::Http1(mut connection, head) => {
                    match poll_fn(|cx| connection.http1.poll_reply(&mut tell, cx)).await {
                        Ok(reply) => {
                            Ok(reply.map(|()| UpstreamBody::new(connection, shelf, active)))
                        }
                        // The head was kept until now, for who may repeat the request.
                        Err(cause) => Err(connection.http1.explain(Some(head), cause)),
                    }
                }
                Sending::Http2(begun) => {
                    let mut exchange = begun.map_err(|error| *error)?;
                    match poll_fn(|cx| exchange.poll_reply(&mut tell, cx)).await {
                        Ok(reply) => Ok(exchange
                            .into_reply(reply)
                            .map(|body| UpstreamBody::shared(body, shelf, active))),
                        Err(failed) => Err(exchange.explain(failed)),
                    }
                }
            }
        }
    }
}

/// A request on its way out.
#[expect(clippy::large_enum_variant, reason = "HTTP/1 costs no allocation")]
enum Sending {
    Http1(PooledConnection, Parts),
    Http2(Result<Box<http2::Exchange>, Box<SendError>>),
}
