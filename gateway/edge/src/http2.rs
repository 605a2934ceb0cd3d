//! HTTP/2 downstream, over TLS or by prior knowledge.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;

use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::activity::Activity;
use crate::watched::Watched;

/// Streams at once on a connection.
const STREAMS: u32 = 100;
/// What a client may send ahead on one stream, and what is queued for one.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What a client may send ahead on all its streams.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The largest header list, as HPACK counts it.
const HEADER_LIST: u32 = 64 * 1024;

/// Serves a connection until it ends; asked to go, it says GOAWAY and finishes its streams.
pub(crate) async fn serve<I, S>(
    io: Watched<I>,
    service: S,
    activity: &Activity,
) -> Result<(), hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming>,
    S::Future: 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Data: 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    activity.begin_multiplexing();
    let connection = builder().serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut asked = false;
    poll_fn(|cx| {
        loop {
            if !asked && activity.wants_goaway() {
                asked = true;
                connection.as_mut().graceful_shutdown();
            }
            let outcome = connection.as_mut().poll(cx);
            // During a drain the first request, just read, is what allows the GOAWAY.
            if outcome.is_ready() || asked || !activity.wants_goaway() {
                return outcome;
            }
        }
    })
    .await
}

fn builder() -> Builder<OnWorker> {
    let mut builder = Builder::new(OnWorker);
    builder
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .max_header_list_size(HEADER_LIST);
    builder
}

/// Runs each stream as a task of its own on the connection's worker, so that a panic ends one stream only.
#[derive(Clone, Copy, Debug)]
struct OnWorker;

impl<F> Executor<F> for OnWorker
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::rc::Rc;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::client::conn::http2::SendRequest;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::DuplexStream;
    use tokio::runtime::{Builder as RuntimeBuilder, LocalOptions};

    use super::*;
    use crate::activity::OpenRequest;
    use crate::clock::{Clock, Stage};
    use crate::requests::counted;

    /// Runs on a runtime like a worker's.
    fn on_worker(test: impl Future<Output = ()>) {
        RuntimeBuilder::new_current_thread()
            .build_local(LocalOptions::default())
            .unwrap()
            .block_on(test);
    }

    /// A connection to a server that answers with the path, and panics at `/panic`.
    async fn connect(activity: Rc<Activity>) -> SendRequest<Empty<Bytes>> {
        let (io, client) = tokio::io::duplex(64 * 1024);
        tokio::task::spawn_local(serve_paths(io, activity));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                .await
                .unwrap();
        tokio::task::spawn_local(connection);
        sender
    }

    async fn serve_paths(io: DuplexStream, activity: Rc<Activity>) {
        let of_requests = activity.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let open = OpenRequest::begin(&of_requests);
            async move {
                assert_ne!(request.uri().path(), "/panic");
                let path = Bytes::copy_from_slice(request.uri().path().as_bytes());
                Ok::<_, Infallible>(counted(Response::new(Full::new(path)), open))
            }
        });
        let io = Watched::new(io, Bytes::new(), activity.clone());
        activity.attend(async { drop(serve(io, service, &activity).await) }).await;
    }

    async fn ask(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> hyper::Result<Bytes> {
        let request = Request::get(format!("http://a{path}")).body(Empty::new()).unwrap();
        Ok(sender.send_request(request).await?.into_body().collect().await?.to_bytes())
    }

    #[test]
    fn a_panic_in_one_stream_leaves_the_others_alone() {
        on_worker(async {
            let activity = Activity::new(Rc::new(Clock::default()));
            let mut sender = connect(activity).await;
            assert!(ask(&mut sender, "/panic").await.is_err());
            assert_eq!(ask(&mut sender, "/next").await.unwrap(), "/next");
        });
    }

    #[test]
    fn a_drain_says_goaway_after_a_request() {
        on_worker(async {
            let clock = Rc::new(Clock::default());
            let mut sender = connect(Activity::new(clock.clone())).await;
            clock.advance(Stage::Draining);
            assert_eq!(ask(&mut sender, "/first").await.unwrap(), "/first");
            while sender.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn an_idle_connection_goes_when_asked() {
        on_worker(async {
            let activity = Activity::new(Rc::new(Clock::default()));
            let mut sender = connect(activity.clone()).await;
            assert_eq!(ask(&mut sender, "/first").await.unwrap(), "/first");
            activity.finish();
            while sender.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
    }
}
