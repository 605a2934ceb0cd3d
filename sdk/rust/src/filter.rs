//! What a filter is: its configuration, its state for one request, and its callbacks.

use std::future::Future;

use crate::body::BodyMode;
use crate::metrics::{Counter, Gauge, Histogram};
use crate::{
    Configuration, ConfigurationError, Error, HostError, Record, Reply, Request, Response,
};

/// A filter: one value for each plugin object and worker, asked about every request.
///
/// Write `async fn` where you implement it, and only the callbacks that you need: [`#[filter]`](macro@crate::filter)
/// exports those alone, so that the host does not call the others, and adds the types that you do not name
/// (`Configuration = NoConfiguration`, `State = ()`, bodies `Unread`) and `new` where there is no configuration and the
/// type is `Default`, or where the filter itself is what is configured (`type Configuration = Self`).
///
/// Callbacks take `&self`: what changes between requests (caches, counts) goes into a `Cell` or `RefCell`; a module is
/// single-threaded. Requests are served side by side: while one awaits, others run, so no borrow of a `RefCell` may live
/// across an `.await`. When a client leaves, what its request still awaits is dropped.
///
/// An `Err` is logged and ends the callback as a trap does, so that the plugin object's `failStrategy` answers: a refusal
/// meant for the client is a [`Flow::Reply`], or a [`Reply`] as the error.
pub trait Filter: Sized + 'static {
    /// The plugin's configuration (`pluginConfig`), read from JSON; no configuration reads as `{}`. Put
    /// [`#[configuration]`](macro@crate::configuration) above it, so that a mistyped field is refused with its path.
    type Configuration: Configuration;

    /// What is remembered from one callback of a request to the next; `()` when nothing is.
    ///
    /// The request's callback and the response's never have it at once: when an upstream answers before the request's
    /// callback has ended, the response waits for it, unless there is nothing to share (`()`). A reply of the gateway
    /// itself gives up what the request still awaited.
    type State: Default + 'static;

    /// What is done with the request's body.
    type RequestBody: BodyMode;

    /// What is done with the response's body.
    type ResponseBody: BodyMode;

    /// Whether a callback may have to wait; `#[filter]` looks for `.await`.
    #[doc(hidden)]
    const WAITS: bool = true;

    /// Whether there is a [`background`](Filter::background); set by `#[filter]`.
    #[doc(hidden)]
    const BACKGROUND: bool = false;

    /// Makes the filter from its configuration, once, before any request. An error refuses the plugin.
    fn new(
        configuration: Self::Configuration,
        setup: &mut Setup,
    ) -> Result<Self, ConfigurationError>;

    /// A request: called when its headers have arrived; its body may be awaited.
    fn request(
        &self,
        request: &mut Request<Self::RequestBody>,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<Flow, Error>> {
        let _ = (request, state);
        async { Ok(Flow::Continue) }
    }

    /// A response, from upstream or from a local reply: called when its headers have arrived; its body may be awaited.
    fn response(
        &self,
        response: &mut Response<Self::ResponseBody>,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<Flow, Error>> {
        let _ = (response, state);
        async { Ok(Flow::Continue) }
    }

    /// The exchange is over and about to be logged.
    fn log(&self, record: &Record, state: &mut Self::State) -> Result<(), Error> {
        let _ = (record, state);
        Ok(())
    }

    /// Runs beside all requests, once for each plugin object and instance of the module, from soon after the start on.
    /// After an error, which is logged, it begins anew in five seconds.
    fn background(&self) -> impl Future<Output = Result<(), Error>> {
        async { Ok(()) }
    }
}

/// What happens to a message after its callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It ends here, with this reply.
    Reply(Reply),
}

impl From<Reply> for Flow {
    fn from(reply: Reply) -> Self {
        Flow::Reply(reply)
    }
}

/// What a filter may do while it is being made.
#[derive(Debug)]
pub struct Setup {
    root: u32,
}

impl Setup {
    pub(crate) fn new(root: u32) -> Self {
        Setup { root }
    }

    /// The context id of the plugin object being configured; only of use in logs.
    pub fn root_context(&self) -> u32 {
        self.root
    }

    /// Defines a counter, or finds the one of that name.
    pub fn counter(&mut self, name: &str) -> Result<Counter, HostError> {
        Counter::define(name)
    }

    /// Defines a gauge, or finds the one of that name.
    pub fn gauge(&mut self, name: &str) -> Result<Gauge, HostError> {
        Gauge::define(name)
    }

    /// Defines a histogram, or finds the one of that name.
    pub fn histogram(&mut self, name: &str) -> Result<Histogram, HostError> {
        Histogram::define(name)
    }
}
