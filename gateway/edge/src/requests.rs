//! The requests of one connection, as the protocols hand them over and `proxy` answers them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::HttpService;
use hyper::service::service_fn;
use portcullis_exchange::Connection;
use portcullis_message::Body;
use portcullis_proxy::{ResponseBody, Worker, handle_request};

use crate::activity::{Activity, OpenRequest};

/// Answers one request of an HTTP/1 connection.
pub(crate) fn answer(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    request: Request<Body>,
    activity: &Rc<Activity>,
) -> impl Future<Output = Response<CountedBody<ResponseBody>>> + use<> {
    let open = OpenRequest::begin(activity);
    async move { counted(handle_request(worker, connection, request).await, open) }
}

/// Answers the requests of one HTTP/2 connection. Nothing is looked up or allocated for one here; the snapshot is
/// pinned anew for each.
pub(crate) fn answer_streams(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    activity: Rc<Activity>,
) -> impl HttpService<Incoming, ResBody = CountedBody<ResponseBody>, Error = Infallible, Future: 'static>
{
    service_fn(move |request: Request<Incoming>| {
        let open = OpenRequest::begin(&activity);
        let (worker, connection) = (worker.clone(), connection.clone());
        async move {
            let reply = handle_request(worker, connection, request.map(Into::into)).await;
            Ok(counted(reply, open))
        }
    })
}

/// A response body whose request counts as open until it is dropped.
pub(crate) struct CountedBody<B> {
    body: B,
    _open: OpenRequest,
}

pub(crate) fn counted<B>(response: Response<B>, open: OpenRequest) -> Response<CountedBody<B>> {
    response.map(|body| CountedBody { body, _open: open })
}

impl<B: HttpBody + Unpin> HttpBody for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
