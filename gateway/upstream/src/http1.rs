//! HTTP/1 to the upstream, by hyper's client; nothing else uses it.

use std::net::SocketAddr;

use http::header::{CONTENT_LENGTH, HeaderValue, TRAILER, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use portcullis_message::Body;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::failure::{SendError, UpstreamFailure};
use crate::request_body::RequestBody;
use crate::socket::Socket;

/// The most that a reply's head may measure, trailers likewise. The number of fields is limited to 100
/// by hyper's default; setting it explicitly would cost an allocation per reply.
const MAX_REPLY_HEAD: usize = 32 << 10;

/// One HTTP/1 connection. Dropping it closes it, whatever is still under way on it.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    task: AbortHandle,
    local_address: Option<SocketAddr>,
}

/// Whether a connection can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It can.
    Ready,
    /// Its task has not finished the last exchange yet.
    Settling,
    /// It never will.
    Closed,
}

impl Http1 {
    /// Speaks HTTP/1 on a stream; its task runs on this worker.
    pub(crate) async fn open(stream: TcpStream) -> Result<Self, UpstreamFailure> {
        let local_address = stream.local_addr().ok();
        let (sender, connection) = Builder::new()
            .max_header_size(MAX_REPLY_HEAD)
            .handshake(TokioIo::new(Socket::new(stream)))
            .await
            .map_err(|error| UpstreamFailure::from_client(&error))?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Http1 { sender, task: task.abort_handle(), local_address })
    }

    pub(crate) fn readiness(&self) -> Readiness {
        if self.sender.is_ready() {
            Readiness::Ready
        } else if self.sender.is_closed() {
            Readiness::Closed
        } else {
            Readiness::Settling
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    /// Hands a request over at once, so that the future, which awaits the reply's head, does not carry
    /// it. The reply may come before the request's body is sent. [`read_reply`] says what it means.
    pub(crate) fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = RawReply> + use<> {
        frame(&mut request);
        self.sender.try_send_request(request)
    }
}

/// What hyper makes of a reply.
type RawReply = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// What came of a request. Not part of the future: each level of futures would hold it twice.
#[expect(clippy::result_large_err, reason = "it carries the request back; a reply is as large")]
pub(crate) fn read_reply(reply: RawReply) -> Result<Response<Body>, SendError> {
    match reply {
        Ok(response) => match check_framing(&response) {
            Ok(()) => Ok(response.map(Body::from)),
            Err(cause) => Err(SendError::Failed { cause }),
        },
        Err(error) => Err(explain(error)),
    }
}

fn explain(mut error: TrySendError<Request<RequestBody>>) -> SendError {
    let cause = UpstreamFailure::from_client(error.error());
    match error.take_message() {
        Some(request) => SendError::Unsent { request, cause },
        None => SendError::Failed { cause },
    }
}

/// Also ends an upload that the upstream answered early and no longer wants.
impl Drop for Http1 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sets the framing anew from what the body is, so that no header can contradict it.
///
/// hyper would send a GET of unknown length without its body, trailers only with chunks, and believes a
/// `Content-Length` that it is given.
fn frame(request: &mut Request<RequestBody>) {
    let body_length = match request.body() {
        body if body.is_end_stream() => Some(0),
        body => body.size_hint().exact(),
    };
    // Ours, whatever the client spoke: HTTP/1.0 knows no chunks.
    *request.version_mut() = Version::HTTP_11;
    let expects_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    match body_length {
        Some(0) if !expects_body => {
            headers.remove(CONTENT_LENGTH);
            headers.remove(TRANSFER_ENCODING);
        }
        Some(length) if length == 0 || !headers.contains_key(TRAILER) => {
            headers.remove(TRANSFER_ENCODING);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        _ => {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// Refuses what another recipient could read differently, and a change of protocol that nobody asked for.
fn check_framing<B>(reply: &Response<B>) -> Result<(), UpstreamFailure> {
    let refuse = |why: &str| Err(UpstreamFailure::Protocol(why.to_owned()));
    let headers = reply.headers();
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return refuse("the reply has both Transfer-Encoding and Content-Length");
    }
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        return refuse("the reply switches protocols");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn framed(method: Method, fields: &[(&'static str, &'static str)], body: Body) -> HeaderMap {
        let mut request = Request::new(RequestBody::new(body));
        *request.method_mut() = method;
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        frame(&mut request);
        request.into_parts().0.headers
    }

    fn full() -> Body {
        Bytes::from_static(b"hello").into()
    }

    #[test]
    fn a_length_that_lies_is_corrected() {
        for wrong in [&[("content-length", "4")][..], &[("content-length", "+5")], &[]] {
            assert_eq!(framed(Method::GET, wrong, full())["content-length"], "5");
        }
        let twice = framed(
            Method::POST,
            &[("content-length", "5"), ("content-length", "5"), ("transfer-encoding", "gzip")],
            full(),
        );
        assert_eq!(twice.len(), 1);
        assert!(framed(Method::GET, &[("content-length", "4")], Body::Empty).is_empty());
    }

    #[test]
    fn an_empty_post_says_so() {
        assert_eq!(framed(Method::POST, &[], Body::Empty)["content-length"], "0");
        assert!(framed(Method::DELETE, &[], Body::Empty).is_empty());
    }

    #[test]
    fn announced_trailers_make_chunks() {
        let fields = [("trailer", "x-sum"), ("content-length", "5")];
        let headers = framed(Method::POST, &fields, full());
        assert_eq!(headers["transfer-encoding"], "chunked");
        assert!(!headers.contains_key("content-length"));
    }
}
