//! What a filter is: its configuration, its state for one request, and its callbacks.

use serde::de::DeserializeOwned;

use crate::metrics::{Counter, Gauge, Histogram};
use crate::{ConfigurationError, Error, HostError, Record, Reply, Request, Response};

/// A filter: one value for each plugin object and worker, asked about every request.
///
/// Callbacks take `&self`: what changes between requests (caches, counts) goes into a `Cell` or `RefCell`; a module is
/// single-threaded and never re-entered. Only the callbacks written in the implementation are exported, so the host does
/// not call the others.
///
/// An `Err` is logged and ends the callback as a trap does, so that the plugin object's `failStrategy` answers: a refusal
/// meant for the client is a [`Verdict::Reply`], not an error.
pub trait Filter: Sized + 'static {
    /// The plugin's configuration (`pluginConfig`), read from JSON; no configuration reads as `{}`. Derive
    /// `Deserialize` with `#[serde(deny_unknown_fields)]`, so that a mistyped field is refused with its path.
    type Configuration: DeserializeOwned;

    /// What is remembered from one callback of a request to the next; `()` when nothing is.
    type State: Default + 'static;

    /// Makes the filter from its configuration, once, before any request. An error refuses the plugin.
    fn new(
        configuration: Self::Configuration,
        setup: &mut Setup,
    ) -> Result<Self, ConfigurationError>;

    /// The request's headers have arrived.
    fn on_request_headers(
        &self,
        request: &mut Request,
        state: &mut Self::State,
    ) -> Result<Verdict, Error> {
        let _ = (request, state);
        Ok(Verdict::Continue)
    }

    /// The response's headers have arrived, from upstream or from a local reply.
    fn on_response_headers(
        &self,
        response: &mut Response,
        state: &mut Self::State,
    ) -> Result<Verdict, Error> {
        let _ = (response, state);
        Ok(Verdict::Continue)
    }

    /// The exchange is over and about to be logged.
    fn on_log(&self, record: &Record, state: &mut Self::State) -> Result<(), Error> {
        let _ = (record, state);
        Ok(())
    }
}

/// What happens to the request after a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It ends here, with this reply.
    Reply(Reply),
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Self {
        Verdict::Reply(reply)
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
