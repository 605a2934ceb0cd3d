//! What can go wrong with an upstream, and whose fault it is.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use http::Request;
use http::request::Parts;
use portcullis_message::BodyError;

use crate::breakers::Overflow;
use crate::request_body::RequestBody;

/// What failed on the way to an upstream or back. Its text is what `%UPSTREAM_TRANSPORT_FAILURE_REASON%` shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFailure {
    /// Nothing listens there.
    #[error("connection refused")]
    ConnectRefused,
    /// The connection did not come about within the cluster's connect timeout.
    #[error("connect timeout")]
    ConnectTimeout,
    /// The connection did not come about for another reason, such as no route to the host.
    #[error("connect failed: {0}")]
    ConnectFailed(String),
    /// This process has no descriptor left for a connection; not the upstream's fault.
    #[error("no descriptor left")]
    OutOfDescriptors,
    /// As much is under way at the cluster as its limits allow; nothing was sent.
    #[error("overflow: {0}")]
    Overflow(Overflow),
    /// No TLS connection came about, for this reason; nothing was sent in plain text.
    #[error("TLS error: {0}")]
    Tls(String),
    /// The endpoint is not known by the name that the client chose, or the name is none; not the endpoint's fault.
    #[error("TLS error: {0}")]
    NotOfThatName(String),
    /// TLS is asked for and cannot be had here, for this reason; nothing was sent.
    #[error("TLS error: {0}")]
    NoTls(std::sync::Arc<str>),
    /// The upstream closed the connection before its reply was complete.
    #[error("connection closed before the reply")]
    Closed,
    /// The upstream or the network reset the connection before the reply.
    #[error("connection reset: {0}")]
    Reset(String),
    /// The upstream says that it has not looked at the request: it refused the stream, or its GOAWAY leaves it out.
    #[error("stream refused")]
    Refused,
    /// What came back is not HTTP, or more of it than allowed.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The client's body broke off while it was sent on; not the upstream's fault.
    #[error("the request body broke off")]
    RequestBody,
    /// The reply's body broke off.
    #[error("the reply body broke off: {0}")]
    BodyBroken(String),
}

impl UpstreamFailure {
    /// Whether the fault is this gateway's or its client's, so that it says nothing of the endpoint.
    pub fn is_ours(&self) -> bool {
        use UpstreamFailure as Failure;
        matches!(
            self,
            Failure::RequestBody
                | Failure::OutOfDescriptors
                | Failure::Overflow(_)
                | Failure::NoTls(_)
                | Failure::NotOfThatName(_)
        )
    }

    /// What an error of reading or writing means.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>());
        match (inside, error.kind()) {
            (Some(error), _) => UpstreamFailure::Tls(portcullis_crypto::handshake_failure(error)),
            // Inside TLS an end that nobody announced is an error of its own.
            (None, io::ErrorKind::UnexpectedEof) => UpstreamFailure::Closed,
            (None, kind) => UpstreamFailure::Reset(kind.to_string()),
        }
    }

    /// What an error of connecting means.
    pub(crate) fn from_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => UpstreamFailure::ConnectRefused,
            io::ErrorKind::TimedOut => UpstreamFailure::ConnectTimeout,
            _ if is_out_of_descriptors(error) => UpstreamFailure::OutOfDescriptors,
            kind => UpstreamFailure::ConnectFailed(kind.to_string()),
        }
    }
}

/// EMFILE and ENFILE, for which the standard library has no name. The endpoint is not at fault.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

impl From<&BodyError> for UpstreamFailure {
    fn from(error: &BodyError) -> Self {
        // Its source alone: that a body broke off is said already.
        let reason = error.source().map(ToString::to_string);
        UpstreamFailure::BodyBroken(reason.unwrap_or_else(|| error.to_string()))
    }
}

/// No connection to an endpoint came about. Nothing was sent, so another endpoint may be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {cause}")]
pub struct ConnectError {
    /// The endpoint's address.
    pub address: SocketAddr,
    /// Why.
    pub cause: UpstreamFailure,
}

/// A request got no reply.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection turned out to be closed before any byte of the request was written: it may be
    /// sent again, whatever its method.
    #[error("not sent: {cause}")]
    Unsent {
        /// The request, untouched.
        request: Request<RequestBody>,
        /// Why.
        cause: UpstreamFailure,
    },
    /// It was sent, in part or whole; the upstream may have acted on it.
    #[error("{cause}")]
    Failed {
        /// Its head, for who may repeat it; `None` where it was not kept. Its body is gone as far as it was read.
        head: Option<Parts>,
        /// Whether the upstream had begun to answer.
        heard: Heard,
        /// Why.
        cause: UpstreamFailure,
    },
}

/// Whether anything came of a reply before the connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not a byte.
    Nothing,
    /// Something: an interim reply, a part of a head, bytes that are no HTTP, the reset of a stream.
    Something,
}

impl SendError {
    /// Why there is no reply.
    pub fn cause(&self) -> &UpstreamFailure {
        match self {
            SendError::Unsent { cause, .. } | SendError::Failed { cause, .. } => cause,
        }
    }
}
