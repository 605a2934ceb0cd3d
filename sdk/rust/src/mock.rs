//! A host for unit tests: filters compiled natively talk to it, thread by thread.
//!
//! ```
//! use portcullis_sdk::mock::{Exchange, Host, Plugin};
//! use portcullis_sdk::prelude::*;
//!
//! struct Guard;
//!
//! impl Filter for Guard {
//!     type Configuration = NoConfiguration;
//!     type State = ();
//!
//!     fn new(_: NoConfiguration, _: &mut Setup) -> Result<Self, ConfigurationError> {
//!         Ok(Guard)
//!     }
//!
//!     fn on_request_headers(&self, request: &mut Request, _: &mut ()) -> Result<Verdict, Error> {
//!         match request.headers().first("x-key") {
//!             Some(_) => Ok(Verdict::Continue),
//!             None => Ok(Reply::new(401).into()),
//!         }
//!     }
//! }
//!
//! let plugin = Plugin::<Guard>::start("").unwrap();
//! assert!(plugin.exchange(&[("x-key", "1")]).on_request_headers().is_continued());
//! assert_eq!(plugin.exchange(&[]).on_request_headers().reply().status(), 401);
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::abi::{Level, MapKind};
pub use crate::host::Metrics;
use crate::host::{Reach, State, Stream, Trap, reset, with_state};
use crate::request::Body;
use crate::runtime::Runtime;
use crate::{Filter, HostError, Reply, Request, Response, Verdict};

const ROOT: u32 = 1;
const STREAM: u32 = 2;

/// A filter started on this thread's mock host.
pub struct Plugin<F: Filter> {
    runtime: Runtime<F>,
}

impl<F: Filter> Plugin<F> {
    /// Starts the filter with a configuration, as the host would; the error is what was logged.
    pub fn start(configuration: &str) -> Result<Self, String> {
        with_state(|state| state.configuration = configuration.as_bytes().to_vec());
        let runtime = Runtime::new();
        runtime.on_context_create(ROOT, 0);
        if runtime.on_vm_start() && runtime.on_configure(ROOT, configuration.len()) {
            Ok(Plugin { runtime })
        } else {
            Err(Host.log().pop().map(|(_, line)| line).unwrap_or_default())
        }
    }

    /// Begins a request with these headers. One exchange at a time: the mock has one pair of header maps.
    pub fn exchange(&self, request_headers: &[(&str, &str)]) -> Exchange<'_, F> {
        with_state(|state| {
            state.streams.insert(STREAM, Stream::new(ROOT));
            set_map(state, MapKind::RequestHeaders, request_headers);
            set_map(state, MapKind::ResponseHeaders, &[]);
            let _ = state.enter(STREAM);
        });
        self.runtime.on_context_create(STREAM, ROOT);
        Exchange { plugin: self }
    }
}

/// One request on its way through the filter; its state is dropped with it.
pub struct Exchange<'a, F: Filter> {
    plugin: &'a Plugin<F>,
}

impl<F: Filter> Exchange<'_, F> {
    /// Runs the filter's `on_request_headers`.
    pub fn on_request_headers(&self) -> Outcome {
        let mut request = Request::new(Body::None);
        Outcome::of(|| self.plugin.runtime.decide_request(STREAM, &mut request))
    }

    /// Runs the filter's `on_response_headers` on these headers.
    pub fn on_response_headers(&self, response_headers: &[(&str, &str)]) -> Outcome {
        with_state(|state| set_map(state, MapKind::ResponseHeaders, response_headers));
        let mut response = Response::new(Body::None);
        Outcome::of(|| self.plugin.runtime.decide_response(STREAM, &mut response))
    }

    /// Runs the filter's `on_log`.
    pub fn on_log(&self) -> Outcome {
        Outcome::of(|| {
            self.plugin.runtime.on_log(STREAM);
            Verdict::Continue
        })
    }

    /// All values of a request header as it now is.
    pub fn request_header(&self, name: &str) -> Vec<String> {
        values(MapKind::RequestHeaders, name)
    }

    /// All values of a response header as it now is.
    pub fn response_header(&self, name: &str) -> Vec<String> {
        values(MapKind::ResponseHeaders, name)
    }
}

impl<F: Filter> Drop for Exchange<'_, F> {
    fn drop(&mut self) {
        self.plugin.runtime.on_delete(STREAM);
    }
}

fn set_map(state: &mut State, map: MapKind, headers: &[(&str, &str)]) {
    let stream = state.streams.entry(STREAM).or_default();
    if let Some(part) = stream.map(map) {
        part.reach = Reach::Change;
        part.content = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
            .collect();
    }
}

fn values(map: MapKind, name: &str) -> Vec<String> {
    with_state(|state| {
        let headers = state.readable_map(map, "").cloned().unwrap_or_default();
        let matching = headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    })
}

/// How a callback ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a verdict.
    Verdict(Verdict),
    /// With an error: a real host would answer by the failure policy. What was logged last.
    Trapped(String),
}

impl Outcome {
    fn of(callback: impl FnOnce() -> Verdict) -> Self {
        match catch_unwind(AssertUnwindSafe(callback)) {
            Ok(verdict) => Outcome::Verdict(verdict),
            Err(cause) if cause.is::<Trap>() => {
                Outcome::Trapped(Host.log().pop().map(|(_, line)| line).unwrap_or_default())
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Whether the request goes on.
    pub fn is_continued(&self) -> bool {
        *self == Outcome::Verdict(Verdict::Continue)
    }

    /// The filter's own reply.
    ///
    /// # Panics
    /// When there is none.
    #[allow(clippy::panic, reason = "for tests alone")]
    pub fn reply(self) -> Reply {
        match self {
            Outcome::Verdict(Verdict::Reply(reply)) => reply,
            other => panic!("expected a reply, but the callback ended with {other:?}"),
        }
    }
}

/// This thread's mock host: what the filter sees of the world, and what it left there.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Host {
    /// A host in its first state: no properties, no metrics, an empty log, 1970.
    #[allow(
        clippy::new_without_default,
        reason = "it resets the thread's host, which a default should not do"
    )]
    pub fn new() -> Self {
        reset();
        Host
    }

    /// Sets the clock.
    pub fn set_now(&self, since_1970: Duration) {
        with_state(|state| state.now = since_1970);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        with_state(|state| state.now += by);
    }

    /// Sets a property, its path joined by dots; the bytes as the ABI has them (text as it is, numbers as eight bytes).
    pub fn set_property(&self, path: &str, value: impl Into<Vec<u8>>) {
        with_state(|state| state.properties.insert(path.to_owned(), value.into()));
    }

    /// A property as text, the filter's own ones included.
    pub fn property(&self, path: &str) -> Option<String> {
        with_state(|state| {
            state.properties.get(path).map(|value| String::from_utf8_lossy(value).into_owned())
        })
    }

    /// Offers a foreign function.
    pub fn offer_function(
        &self,
        name: &str,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, HostError> + 'static,
    ) {
        with_state(|state| state.functions.insert(name.to_owned(), std::rc::Rc::new(function)));
    }

    /// Drops lines below a level, as a real host does; all are kept at first.
    pub fn set_log_level(&self, level: Level) {
        with_state(|state| state.log_level = level);
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<(Level, String)> {
        with_state(|state| state.log.clone())
    }

    /// The metrics as they now are.
    pub fn metrics(&self) -> Metrics {
        with_state(|state| state.metrics.clone())
    }
}
