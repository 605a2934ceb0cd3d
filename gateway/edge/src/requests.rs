//! The requests of one connection, as the protocols hand them over and `proxy` answers them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::HttpService;
use hyper::service::service_fn;
use portcullis_exchange::Connection;
use portcullis_message::Body;
use portcullis_proxy::{ResponseBody, Worker, handle_request};
use portcullis_telemetry::EdgeCounts;

use crate::activity::{Activity, OpenRequest};
use crate::paced_body::PacedBody;
use crate::panics::caught;
use crate::tunnel::{MayTunnel, OpenTunnel, carry_on_stream, stream_of};

/// Answers one request of an HTTP/1 connection.
pub(crate) fn answer(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    request: Request<Body>,
    activity: &Rc<Activity>,
) -> impl Future<Output = Response<CountedBody<ResponseBody>>> + use<> {
    let open = OpenRequest::begin(activity, worker.begin_request());
    let progress = open.progress().clone();
    async move {
        let answering = handle_request(worker.clone(), connection, request, progress);
        complete(caught(answering).await, &worker.settings.counts, open)
    }
}

/// Answers the requests of one HTTP/2 connection. Nothing is looked up or allocated for one here; the snapshot is
/// pinned anew for each.
pub(crate) fn answer_streams(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    activity: Rc<Activity>,
) -> impl HttpService<
    Incoming,
    ResBody = PacedBody<CountedBody<ResponseBody>>,
    Error = Infallible,
    Future: 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        let open = OpenRequest::begin(&activity, worker.begin_request());
        let progress = open.progress().clone();
        let (worker, connection) = (worker.clone(), connection.clone());
        let stream = stream_of(&mut request);
        async move {
            let request = request.map(Into::into);
            let answering = handle_request(worker.clone(), connection, request, progress.clone());
            let mut reply = complete(caught(answering).await, &worker.settings.counts, open);
            if let Some(stream) = stream
                && let Some(tunnel) = reply.body_mut().take_tunnel()
            {
                carry_on_stream(tunnel, stream);
            }
            Ok(reply.map(|body| PacedBody::new(body, progress)))
        }
    })
}

/// A response body whose request counts as open until it is dropped.
pub(crate) struct CountedBody<B> {
    /// `None` for the empty one after a panic.
    body: Option<B>,
    open: Option<OpenRequest>,
}

impl<B: MayTunnel> MayTunnel for CountedBody<B> {
    fn take_tunnel(&mut self) -> Option<OpenTunnel> {
        let tunnel = self.body.as_mut()?.take_tunnel()?;
        Some(OpenTunnel { open: self.open.take(), ..tunnel })
    }
}

/// The reply of a request, or 500 where its work ended in a panic: the others of its connection go on.
pub(crate) fn complete<B>(
    outcome: Result<Response<B>, String>,
    counts: &EdgeCounts,
    open: OpenRequest,
) -> Response<CountedBody<B>> {
    match outcome {
        Ok(reply) => counted(reply, open),
        Err(panic) => {
            counts.panicked();
            tracing::error!(panic, "a request ended in a panic");
            let mut reply = Response::new(CountedBody { body: None, open: Some(open) });
            *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            reply
        }
    }
}

pub(crate) fn counted<B>(response: Response<B>, open: OpenRequest) -> Response<CountedBody<B>> {
    response.map(|body| CountedBody { body: Some(body), open: Some(open) })
}

impl<B: HttpBody + Unpin> HttpBody for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.get_mut().body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
