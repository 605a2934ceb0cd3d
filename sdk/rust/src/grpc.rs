//! Asking other services over gRPC; messages are bytes, whatever encodes them.

mod stream;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::abi::BufferKind;
use crate::hooks::{GrpcEvent, with_hooks};
use crate::id_map::{IdMap, hasher};
use crate::{HostError, host};

pub use stream::GrpcStream;

/// A cluster to call over gRPC, by its name in the host; in Envoy also a serialised `GrpcService`.
///
/// ```
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask(request: Vec<u8>) -> Result<(), Error> {
/// let reply = grpc("quotas").unary("shop.Quotas", "Take", request).metadata("x-team", "red").await?;
/// # let _: Vec<u8> = reply;
/// # Ok(())
/// # }
/// ```
pub fn grpc(cluster: &str) -> GrpcCluster<'_> {
    GrpcCluster { name: cluster }
}

/// A cluster to call over gRPC; see [`grpc`].
#[derive(Clone, Copy, Debug)]
pub struct GrpcCluster<'a> {
    name: &'a str,
}

impl<'a> GrpcCluster<'a> {
    /// One message there, one back.
    pub fn unary(
        self,
        service: &'a str,
        method: &'a str,
        message: impl Into<Vec<u8>>,
    ) -> GrpcCall<'a> {
        GrpcCall {
            cluster: self.name,
            service,
            method,
            metadata: Vec::new(),
            message: message.into(),
            timeout: Duration::from_secs(5),
        }
    }

    /// Messages in both directions, from now on.
    ///
    /// ```
    /// use portcullis_sdk::prelude::*;
    ///
    /// # async fn ask(first: &[u8]) -> Result<(), Error> {
    /// let mut stream = grpc("events").stream("shop.Events", "Watch", &[("x-team", "red")])?;
    /// stream.send(first)?;
    /// stream.close()?;
    /// while let Some(message) = stream.next().await? {
    ///     portcullis_sdk::info!("{} bytes", message.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(
        self,
        service: &str,
        method: &str,
        metadata: &[(&str, &str)],
    ) -> Result<GrpcStream, GrpcError> {
        let metadata: Vec<_> =
            metadata.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let id = host::grpc_stream(self.name, service, method, &metadata)?;
        Ok(GrpcStream::new(Exchange::begin(id)))
    }
}

/// A call of one message; it is sent when it is awaited.
#[derive(Clone, Debug)]
pub struct GrpcCall<'a> {
    cluster: &'a str,
    service: &'a str,
    method: &'a str,
    metadata: Vec<(String, Vec<u8>)>,
    message: Vec<u8>,
    timeout: Duration,
}

impl GrpcCall<'_> {
    /// Adds metadata.
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.metadata.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets how long to wait; five seconds without it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn send(&self) -> Result<Exchange, GrpcError> {
        let metadata: Vec<_> =
            self.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let milliseconds = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        let (cluster, service, method) = (self.cluster, self.service, self.method);
        let id = host::grpc_call(cluster, service, method, &metadata, &self.message, milliseconds)?;
        Ok(Exchange::begin(id))
    }
}

impl<'a> IntoFuture for GrpcCall<'a> {
    type Output = Result<Vec<u8>, GrpcError>;
    type IntoFuture = GrpcAnswer<'a>;

    fn into_future(self) -> GrpcAnswer<'a> {
        GrpcAnswer { call: self, exchange: None }
    }
}

/// The future of a [`GrpcCall`]. Dropping it cancels the call.
#[derive(Debug)]
pub struct GrpcAnswer<'a> {
    call: GrpcCall<'a>,
    exchange: Option<Exchange>,
}

impl Future for GrpcAnswer<'_> {
    type Output = Result<Vec<u8>, GrpcError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.exchange.is_none() {
            match self.call.send() {
                Ok(exchange) => self.exchange = Some(exchange),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let Some(exchange) = &self.exchange else { return Poll::Pending };
        let answer = exchange.poll_next(context).map(|next| match next {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(GrpcError::status(OK, "there was no message")),
            Err(error) => Err(error),
        });
        if answer.is_ready() {
            exchange.finish();
        }
        answer
    }
}

/// gRPC's status for success.
const OK: u32 = 0;

/// A call or a stream that the host knows by a number; dropping it cancels it, unless it is over.
#[derive(Debug)]
struct Exchange {
    id: u32,
    inbox: Rc<RefCell<Inbox>>,
}

#[derive(Debug, Default)]
struct Inbox {
    messages: VecDeque<Vec<u8>>,
    closed: Option<(u32, String)>,
    waker: Option<Waker>,
}

thread_local! {
    static OPEN: RefCell<IdMap<Rc<RefCell<Inbox>>>> =
        const { RefCell::new(IdMap::with_hasher(hasher())) };
}

impl Exchange {
    fn begin(id: u32) -> Self {
        with_hooks(|hooks| hooks.grpc.set(Some(deliver)));
        let inbox = Rc::new(RefCell::new(Inbox::default()));
        OPEN.with_borrow_mut(|open| open.insert(id, inbox.clone()));
        Exchange { id, inbox }
    }

    /// The next message; None after a good end.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, GrpcError>> {
        let mut inbox = self.inbox.borrow_mut();
        if let Some(message) = inbox.messages.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        match &inbox.closed {
            Some((OK, _)) => Poll::Ready(Ok(None)),
            Some((status, message)) => Poll::Ready(Err(GrpcError::status(*status, message))),
            None => {
                inbox.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nothing is awaited any more; the call is over by itself.
    fn finish(&self) {
        OPEN.with_borrow_mut(|open| open.remove(&self.id));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if OPEN.with_borrow_mut(|open| open.remove(&self.id)).is_some() {
            let _ = host::grpc_cancel(self.id);
        }
    }
}

/// Takes what the host has now; nobody may be waiting for it any more.
fn deliver(id: u32, event: GrpcEvent) {
    let Some(inbox) = OPEN.with_borrow(|open| open.get(&id).cloned()) else { return };
    let mut inbox = inbox.borrow_mut();
    match event {
        GrpcEvent::Message { size } => {
            let message = host::buffer(BufferKind::GrpcMessage, 0, size).unwrap_or_default();
            inbox.messages.push_back(message);
        }
        GrpcEvent::Closed { status } => {
            let message = host::call_status().map(|(_, message)| message).unwrap_or_default();
            inbox.closed = Some((status, String::from_utf8_lossy(&message).into_owned()));
            OPEN.with_borrow_mut(|open| open.remove(&id));
        }
    }
    if let Some(waker) = inbox.waker.take() {
        waker.wake();
    }
}

/// Why a gRPC call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcError {
    /// The host did not send it: the cluster is not known, or metadata is not valid.
    Refused(HostError),
    /// The service, or the host in its place, answered with a status.
    Status {
        /// gRPC's number: 14 unavailable, 4 deadline exceeded, 7 permission denied …
        code: u32,
        /// What it says of it.
        message: String,
    },
}

impl GrpcError {
    fn status(code: u32, message: &str) -> Self {
        GrpcError::Status { code, message: message.to_owned() }
    }
}

impl From<HostError> for GrpcError {
    fn from(error: HostError) -> Self {
        GrpcError::Refused(error)
    }
}

impl fmt::Display for GrpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrpcError::Refused(error) => write!(f, "the call was not made: {error}"),
            GrpcError::Status { code, message } => {
                write!(f, "the call ended with gRPC status {code}: {message}")
            }
        }
    }
}

impl std::error::Error for GrpcError {}
