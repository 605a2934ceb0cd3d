//! Requests through a filter: building them, letting them go on, looking at what became of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::clock;
use super::direction::{Last, Piece};
use super::instance::Instance;
use super::message::Message;
use super::passage::Passage;
use super::sending::{Sending, with_defaults};
use crate::Reply;
use crate::abi::StreamKind;
use crate::host::{Headers, LocalReply, with_state};

/// One request on its way past the filter, and its response. Dropped before its [end](Exchange::finish), its client has
/// left.
///
/// ```
/// # use portcullis_sdk::prelude::*;
/// # #[derive(Default)]
/// # struct Pass;
/// # #[filter]
/// # impl Filter for Pass {}
/// use portcullis_sdk::mock::{Host, Outcome, Plugin};
///
/// # Host::new();
/// let plugin = Plugin::<Pass>::start("")?;
/// let exchange = plugin.request([(":path", "/basket")]).send();
/// assert_eq!(exchange.outcome(), Outcome::Continued);
/// assert_eq!(exchange.request_header(":path"), ["/basket"]);
///
/// exchange.respond([(":status", "404")]).body("gone").send();
/// assert_eq!(exchange.downstream_response().unwrap().status(), Some(404));
/// assert_eq!(exchange.response_header(":status"), ["404"]);
/// assert_eq!(exchange.finish(), Outcome::Continued);
/// # Ok::<(), String>(())
/// ```
pub struct Exchange {
    passage: Rc<RefCell<Passage>>,
}

/// What has become of an exchange so far.
///
/// ```
/// use portcullis_sdk::mock::{Host, Plugin};
/// use portcullis_sdk::prelude::*;
///
/// #[derive(Default)]
/// struct Closed;
///
/// #[filter]
/// impl Filter for Closed {
///     async fn request(&self, _: &mut Request, _: &mut ()) -> Result<Flow, Error> {
///         Ok(Reply::new(403).body("no").into())
///     }
/// }
///
/// # Host::new();
/// let outcome = Plugin::<Closed>::start("")?.request([]).send().outcome();
/// assert!(!outcome.is_continued());
/// assert_eq!(outcome.reply().body_bytes(), b"no");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that came has gone on.
    Continued,
    /// The filter holds something back: it waits for a call, the time, or the rest of a body.
    Waiting,
    /// The filter answered by itself, with this reply; its own response callbacks may have changed it since, see
    /// [`Exchange::downstream_response`].
    Replied(Reply),
    /// The exchange was cut without an answer.
    Closed,
    /// The filter failed: a real host would answer by the failure policy. What was logged last.
    Trapped(String),
}

impl Outcome {
    /// Whether all that came has gone on.
    pub fn is_continued(&self) -> bool {
        *self == Outcome::Continued
    }

    /// The filter's own reply.
    ///
    /// # Panics
    /// When there is none.
    #[allow(clippy::panic, reason = "for tests alone")]
    pub fn reply(self) -> Reply {
        match self {
            Outcome::Replied(reply) => reply,
            other => panic!("expected a reply, but the exchange is {other:?}"),
        }
    }
}

impl Exchange {
    /// What has become of it so far.
    pub fn outcome(&self) -> Outcome {
        let passage = self.passage.borrow();
        if let Some(line) = passage.instance.trapped() {
            return Outcome::Trapped(line);
        }
        match &passage.reply {
            _ if passage.is_closed => Outcome::Closed,
            Some(reply) => Outcome::Replied(reply_of(reply)),
            None if passage.is_waiting() => Outcome::Waiting,
            None => Outcome::Continued,
        }
    }

    /// The request as the upstream has received it so far; None while nothing has gone on.
    pub fn upstream_request(&self) -> Option<Message> {
        self.passage.borrow().request.passed.clone()
    }

    /// The response as the client has received it so far, the filter's own reply included; None while nothing has.
    pub fn downstream_response(&self) -> Option<Message> {
        self.passage.borrow().response.passed.clone()
    }

    /// All values of a request header as the filter left it so far.
    pub fn request_header(&self, name: &str) -> Vec<String> {
        self.header(StreamKind::Request, name)
    }

    /// All values of a response header as the filter left it so far.
    pub fn response_header(&self, name: &str) -> Vec<String> {
        self.header(StreamKind::Response, name)
    }

    fn header(&self, kind: StreamKind, name: &str) -> Vec<String> {
        let mut passage = self.passage.borrow_mut();
        let context = passage.context;
        let passed = passage.direction(kind).passed.as_ref().map(|message| message.headers.clone());
        let headers = passed.or_else(|| {
            with_state(|state| {
                let stream = state.streams.get_mut(&context)?;
                Some(stream.half(kind).headers.content.clone())
            })
        });
        let headers = headers.unwrap_or_default();
        let named = headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// More of the body of a request that was sent [open](Sending::open).
    pub fn chunk(&self, bytes: impl Into<Vec<u8>>) {
        self.arrive(StreamKind::Request, Piece::Body(bytes.into(), Last::No));
    }

    /// The end of a request that was sent [open](Sending::open).
    pub fn end(&self) {
        self.arrive(StreamKind::Request, Piece::Body(Vec::new(), Last::Yes));
    }

    /// More of the body of a response that was sent [open](Sending::open).
    pub fn response_chunk(&self, bytes: impl Into<Vec<u8>>) {
        self.arrive(StreamKind::Response, Piece::Body(bytes.into(), Last::No));
    }

    /// The end of a response that was sent [open](Sending::open).
    pub fn response_end(&self) {
        self.arrive(StreamKind::Response, Piece::Body(Vec::new(), Last::Yes));
    }

    fn arrive(&self, kind: StreamKind, piece: Piece) {
        self.passage.borrow_mut().direction(kind).arriving.push_back(piece);
        clock::catch_up();
    }

    /// The upstream's response, to be completed and [sent](Sending::send). `:status` is 200 unless it is given.
    ///
    /// # Panics
    /// When it is sent although nothing of the request has reached the upstream.
    pub fn respond<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Sending<'_, &Self> {
        let send = move |headers, pieces| {
            self.take_response(headers, pieces);
            self
        };
        Sending::new(with_defaults(headers, &[(":status", "200")]), Box::new(send))
    }

    #[allow(clippy::panic, reason = "for tests alone")]
    fn take_response(&self, headers: Headers, pieces: VecDeque<Piece>) {
        if self.upstream_request().is_none() {
            panic!("no request has reached the upstream: the exchange is {:?}", self.outcome());
        }
        self.passage.borrow_mut().respond(headers, pieces);
        clock::catch_up();
    }

    /// Ends the exchange: the filter's `log` runs, and whatever of it still waits is dropped.
    pub fn finish(self) -> Outcome {
        self.end_now();
        self.outcome()
    }

    fn end_now(&self) {
        self.passage.borrow_mut().finish();
        clock::catch_up();
    }

    /// By which the host knows it.
    #[cfg(test)]
    pub(crate) fn context(&self) -> u32 {
        self.passage.borrow().context
    }

    pub(crate) fn begin(instance: Rc<Instance>, headers: Headers, pieces: VecDeque<Piece>) -> Self {
        let mut passage = Passage::begin(instance, headers);
        passage.request.arriving = pieces;
        let exchange = Exchange { passage: clock::follow(passage) };
        clock::catch_up();
        exchange
    }
}

fn reply_of(given: &LocalReply) -> Reply {
    let reply = Reply::new(given.status).details(given.details.clone()).body(given.body.clone());
    given.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

/// A test that fails is not made worse by the filter.
impl Drop for Exchange {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end_now();
        }
    }
}
