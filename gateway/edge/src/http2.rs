//! HTTP/2 downstream, over TLS or by prior knowledge.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::Reason;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2::{Builder, Connection};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use portcullis_message::{Flood, FrameLimits};
use portcullis_model::ConnectionPolicy;
use portcullis_proxy::Progress;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::activity::Activity;
use crate::watched::Watched;

/// Resets that a client may provoke on one connection; those within a second are the frame guard's.
const PROVOKED_RESETS: usize = 1024;
/// Streams that a client may reset before they were looked at: as many as it may usually have open.
const UNSEEN_RESETS: usize = 100;
/// HPACK counts 32 bytes for each field beside its name and value (RFC 7541 section 4.1).
const FIELD_OVERHEAD: u32 = 32;
/// For a client that is sent away to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection was ended by us.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the access log says; `None` where the client or the network ended it.
    pub(crate) details: Option<&'static str>,
    /// What the program's own log says.
    pub(crate) error: hyper::Error,
}

/// Serves a connection until it ends; asked to go, it says GOAWAY and finishes its streams.
pub(crate) async fn serve<I, S>(
    mut io: Watched<I>,
    service: S,
    activity: &Rc<Activity>,
    policy: &ConnectionPolicy,
) -> Result<(), Ended>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming>,
    S::Future: 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Data: 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Boxed: every task of a connection has room for it, and most speak HTTP/1.
    let mut connection =
        Box::pin(builder(policy, activity).serve_connection(TokioIo::new(&mut io), service));
    let outcome = until_it_ends(connection.as_mut(), activity).await;
    drop(connection);
    let Err(error) = outcome else { return Ok(()) };
    let details = io.flood().map(Flood::details).or_else(|| our_reason(&error));
    if details.is_some() {
        // Whoever does not take it in time does without.
        let _ = timeout(FAREWELL, Box::pin(io.send_away())).await;
    }
    Err(Ended { details, error })
}

async fn until_it_ends<I, S>(
    mut connection: Pin<&mut Connection<I, S, OnWorker>>,
    activity: &Activity,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming>,
    S::Future: 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Data: 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
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

/// What the frame guard holds a connection to, and how many streams it may have.
pub(crate) fn frame_limits(policy: &ConnectionPolicy) -> (FrameLimits, u32) {
    let limits = FrameLimits {
        control_frames: policy.http2.control_frames,
        header_block: header_list(policy),
    };
    (limits, policy.http2.streams)
}

/// Above the limits on heads, so that what is beyond them is answered and logged by us; what is beyond this the
/// library answers with 431, unseen.
fn header_list(policy: &ConnectionPolicy) -> u32 {
    let bytes = u32::try_from(policy.head.total).unwrap_or(u32::MAX / 4);
    let fields = u32::try_from(policy.head.fields).unwrap_or(u32::MAX / 256);
    bytes.saturating_add(fields.saturating_mul(FIELD_OVERHEAD)).saturating_mul(2)
}

/// The library's own word for why it ended a connection.
fn our_reason(error: &hyper::Error) -> Option<&'static str> {
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    if !(error.is_go_away() && error.is_library()) {
        return None;
    }
    Some(match error.reason()? {
        Reason::FLOW_CONTROL_ERROR => "http2.flow_control_error",
        Reason::STREAM_CLOSED => "http2.stream_closed",
        Reason::FRAME_SIZE_ERROR => "http2.frame_size_error",
        Reason::COMPRESSION_ERROR => "http2.compression_error",
        Reason::ENHANCE_YOUR_CALM => "http2.too_many_resets",
        _ => "http2.protocol_error",
    })
}

fn builder(policy: &ConnectionPolicy, activity: &Rc<Activity>) -> Builder<OnWorker> {
    let limits = &policy.http2;
    let mut builder = Builder::new(OnWorker(activity.clone()));
    builder
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.stream_window as usize)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
        .max_header_list_size(header_list(policy));
    builder
}

/// Runs each stream as a task of its own on the connection's worker, so that a panic ends one stream only.
#[derive(Clone, Debug)]
struct OnWorker(Rc<Activity>);

impl<F> Executor<F> for OnWorker
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        match self.0.take_newest() {
            Some(request) => drop(spawn_local(InTime { stream, request, noted: false })),
            None => drop(spawn_local(stream)),
        }
    }
}

pin_project! {
    /// A stream's task for as long as its request is in time. Where the reply's head is still to come, the
    /// request itself says that it is not; what is out already can only be reset, which dropping it does.
    struct InTime<F> {
        #[pin]
        stream: F,
        request: Rc<Progress>,
        // Whether the request knows whom to wake.
        noted: bool,
    }
}

impl<F: Future> Future for InTime<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let ended = this.stream.poll(cx).is_ready() || this.request.is_overdue();
        if !ended && !std::mem::replace(this.noted, true) {
            // A task keeps its waker for life.
            this.request.wake_with(cx.waker());
        }
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::client::conn::http2::SendRequest;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioExecutor;
    use portcullis_telemetry::EdgeCounts;
    use tokio::io::DuplexStream;
    use tokio::runtime::{Builder as RuntimeBuilder, LocalOptions};

    use super::*;
    use crate::activity::OpenRequest;
    use crate::clock::{Clock, Stage};
    use crate::panics::caught;
    use crate::requests::complete;

    /// Runs on a runtime like a worker's.
    fn on_worker(test: impl Future<Output = ()>) {
        RuntimeBuilder::new_current_thread()
            .enable_time()
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
            let open = OpenRequest::for_test(&of_requests);
            async move {
                let answering = caught(async {
                    assert_ne!(request.uri().path(), "/panic");
                    let path = Bytes::copy_from_slice(request.uri().path().as_bytes());
                    Response::new(Full::new(path))
                });
                Ok::<_, Infallible>(complete(answering.await, &EdgeCounts::default(), open))
            }
        });
        let policy = ConnectionPolicy::default();
        let refused = Box::new(|_| {});
        let io = Watched::new(io, Bytes::new(), activity.clone(), frame_limits(&policy), refused);
        activity.attend(async { drop(serve(io, service, &activity, &policy).await) }).await;
    }

    async fn ask(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> hyper::Result<Bytes> {
        let request = Request::get(format!("http://a{path}")).body(Empty::new()).unwrap();
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(if head.status == 200 { body } else { head.status.to_string().into() })
    }

    #[test]
    fn a_panic_in_one_stream_leaves_the_others_alone() {
        on_worker(async {
            let activity = Activity::for_test(Rc::new(Clock::default()));
            let mut sender = connect(activity).await;
            let (mut one, mut other) = (sender.clone(), sender.clone());
            let (panic, other) = tokio::join!(ask(&mut one, "/panic"), ask(&mut other, "/other"));
            assert_eq!(panic.unwrap(), "500 Internal Server Error");
            assert_eq!(other.unwrap(), "/other");
            assert_eq!(ask(&mut sender, "/next").await.unwrap(), "/next");
        });
    }

    #[test]
    fn a_drain_says_goaway_after_a_request() {
        on_worker(async {
            let clock = Rc::new(Clock::default());
            let mut sender = connect(Activity::for_test(clock.clone())).await;
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
            let activity = Activity::for_test(Rc::new(Clock::default()));
            let mut sender = connect(activity.clone()).await;
            assert_eq!(ask(&mut sender, "/first").await.unwrap(), "/first");
            activity.finish();
            while sender.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
    }
}
