//! Asking other services over HTTP, by the clusters that the host knows.

mod reply;

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::hooks::{HttpAnswer, with_hooks};
use crate::id_map::{IdMap, hasher};
use crate::{HostError, host};

pub use reply::CallReply;

/// A cluster to call, by the name that the host knows it by: in Istio and Portcullis `outbound|80||users.shop.svc.cluster.local`,
/// in Portcullis also `users` or `users:8080` of the plugin's own namespace.
///
/// ```
/// use std::time::Duration;
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask() -> Result<Option<String>, Error> {
/// let reply = http("users").get("/whoami").header("x-key", "k").timeout(Duration::from_secs(1)).await?;
/// let user = (reply.status() == 200).then(|| reply.text().into_owned());
/// # Ok(user)
/// # }
/// ```
pub fn http(cluster: &str) -> HttpCluster<'_> {
    HttpCluster { name: cluster }
}

/// A cluster to call over HTTP; see [`http`].
#[derive(Clone, Copy, Debug)]
pub struct HttpCluster<'a> {
    name: &'a str,
}

impl<'a> HttpCluster<'a> {
    /// A GET of a path.
    pub fn get(self, path: &str) -> HttpCall<'a> {
        self.request("GET", path)
    }

    /// A POST to a path, with a body.
    pub fn post(self, path: &str, body: impl Into<Vec<u8>>) -> HttpCall<'a> {
        self.request("POST", path).body(body)
    }

    /// A PUT to a path, with a body.
    pub fn put(self, path: &str, body: impl Into<Vec<u8>>) -> HttpCall<'a> {
        self.request("PUT", path).body(body)
    }

    /// A DELETE of a path.
    pub fn delete(self, path: &str) -> HttpCall<'a> {
        self.request("DELETE", path)
    }

    /// Any method.
    pub fn request(self, method: &str, path: &str) -> HttpCall<'a> {
        let host = self.name.rsplit('|').next().unwrap_or(self.name);
        HttpCall {
            cluster: self.name,
            fields: vec![
                (":method".to_owned(), method.into()),
                (":path".to_owned(), path.into()),
                (":authority".to_owned(), host.into()),
            ],
            body: Vec::new(),
            timeout: Duration::from_secs(5),
        }
    }
}

/// A request to another service; it is sent when it is awaited.
#[derive(Clone, Debug)]
pub struct HttpCall<'a> {
    cluster: &'a str,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    timeout: Duration,
}

impl HttpCall<'_> {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the host that is asked for; without it the cluster's.
    pub fn authority(mut self, host: &str) -> Self {
        if let Some((_, value)) = self.fields.iter_mut().find(|(name, _)| name == ":authority") {
            *value = host.into();
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how long to wait for the whole answer; five seconds without it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn send(&self) -> Result<(u32, Rc<Slot>), CallError> {
        with_hooks(|hooks| hooks.http.set(Some(deliver)));
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let milliseconds = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        let id = host::http_call(self.cluster, &fields, &self.body, &[], milliseconds)
            .map_err(CallError::Refused)?;
        let deadline = host::now_nanoseconds().saturating_add(u64::from(milliseconds) * 1_000_000);
        let slot = Rc::new(Slot { deadline, progress: RefCell::new(Progress::Sent(None)) });
        WAITING.with_borrow_mut(|waiting| waiting.insert(id, slot.clone()));
        Ok((id, slot))
    }
}

impl<'a> IntoFuture for HttpCall<'a> {
    type Output = Result<CallReply, CallError>;
    type IntoFuture = HttpAnswerFuture<'a>;

    fn into_future(self) -> HttpAnswerFuture<'a> {
        HttpAnswerFuture { call: self, sent: None }
    }
}

/// The future of an [`HttpCall`]. When it is dropped, an answer that still comes is ignored.
#[derive(Debug)]
pub struct HttpAnswerFuture<'a> {
    call: HttpCall<'a>,
    sent: Option<(u32, Rc<Slot>)>,
}

#[derive(Debug)]
struct Slot {
    /// Nanoseconds since 1970.
    deadline: u64,
    progress: RefCell<Progress>,
}

#[derive(Debug)]
enum Progress {
    Sent(Option<Waker>),
    Answered(Result<CallReply, CallError>),
    Taken,
}

thread_local! {
    static WAITING: RefCell<IdMap<Rc<Slot>>> = const { RefCell::new(IdMap::with_hasher(hasher())) };
}

impl Future for HttpAnswerFuture<'_> {
    type Output = Result<CallReply, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.sent.is_none() {
            match self.call.send() {
                Ok(sent) => self.sent = Some(sent),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let Some((_, slot)) = &self.sent else { return Poll::Pending };
        let mut progress = slot.progress.borrow_mut();
        match &mut *progress {
            Progress::Sent(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Progress::Taken => Poll::Pending,
            Progress::Answered(_) => match std::mem::replace(&mut *progress, Progress::Taken) {
                Progress::Answered(answer) => Poll::Ready(answer),
                _ => Poll::Pending,
            },
        }
    }
}

impl Drop for HttpAnswerFuture<'_> {
    fn drop(&mut self) {
        if let Some((id, slot)) = &self.sent
            && matches!(*slot.progress.borrow(), Progress::Sent(_))
        {
            WAITING.with_borrow_mut(|waiting| waiting.remove(id));
        }
    }
}

/// Takes the answer while the host has it; nobody may be waiting for it any more.
fn deliver(answer: HttpAnswer) {
    let Some(slot) = WAITING.with_borrow_mut(|waiting| waiting.remove(&answer.call)) else {
        return;
    };
    let result = reply::read(answer.fields, answer.body_size)
        .map_err(CallError::Refused)
        .and_then(|reply| judge(reply, slot.deadline));
    let answered = Progress::Answered(result);
    if let Progress::Sent(Some(waker)) = slot.progress.replace(answered) {
        waker.wake();
    }
}

/// Envoy says 504 itself when the time is up, and nothing at all when a connection breaks.
fn judge(reply: Option<CallReply>, deadline: u64) -> Result<CallReply, CallError> {
    let is_late = || host::now_nanoseconds() >= deadline;
    match reply {
        Some(reply) if reply.status() == 504 && is_late() => Err(CallError::TimedOut),
        Some(reply) => Ok(reply),
        None if is_late() => Err(CallError::TimedOut),
        None => Err(CallError::Failed),
    }
}

/// Why there is no answer to a call. A status of 500 is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The host did not send it, or kept its answer: the cluster is not known, or a header is not valid.
    Refused(HostError),
    /// The connection failed, or broke before the answer was whole.
    Failed,
    /// The answer did not come in time.
    TimedOut,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(error) => write!(f, "the call was not made: {error}"),
            CallError::Failed => f.write_str("the call failed"),
            CallError::TimedOut => f.write_str("the call took too long"),
        }
    }
}

impl std::error::Error for CallError {}
