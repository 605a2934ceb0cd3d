//! A host for unit tests: filters compiled natively talk to it, thread by thread.
//!
//! It has a time of its own, which moves when the test says so, and behaves as Envoy does where a filter would notice: a
//! paused head holds the body back, a paused body gathers, a part that has gone on is out of reach, a reply of the
//! filter passes its own response callbacks.
//!
//! ```
//! use std::time::Duration;
//!
//! use portcullis_sdk::mock::{Answer, Host, Outcome, Plugin};
//! use portcullis_sdk::prelude::*;
//!
//! #[derive(Default)]
//! struct Guard;
//!
//! #[filter]
//! impl Filter for Guard {
//!     async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
//!         let answer = http("auth").get("/check").await?;
//!         match answer.status() {
//!             200 => Ok(Flow::Continue),
//!             _ => Ok(Reply::new(401).into()),
//!         }
//!     }
//! }
//!
//! let host = Host::new();
//! host.answer("auth", |_| Answer::new(200).after(Duration::from_millis(20)));
//! let plugin = Plugin::<Guard>::start("")?;
//! let exchange = plugin.request([(":path", "/basket")]).body("a book").send();
//! assert_eq!(exchange.outcome(), Outcome::Waiting);
//! host.advance(Duration::from_millis(20));
//! let request = exchange.upstream_request().unwrap();
//! assert_eq!((request.header(":path"), request.body()), (Some("/basket"), &b"a book"[..]));
//! exchange.respond([("x-shop", "1")]).body("thanks").send();
//! assert_eq!(exchange.downstream_response().unwrap().text(), "thanks");
//! # Ok::<(), String>(())
//! ```

mod clock;
mod direction;
mod exchange;
mod guest;
mod host;
mod instance;
mod message;
mod passage;
mod sending;
#[cfg(test)]
mod tests;

pub use exchange::{Exchange, Outcome};
pub use host::Host;
pub use message::Message;
pub use sending::Sending;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::Filter;
pub use crate::host::{Answer, Call, GrpcAnswer, GrpcCall, Metrics};
use crate::runtime::Runtime;
use instance::Instance;
use sending::with_defaults;

/// A filter started on this thread's mock host.
///
/// ```
/// use portcullis_sdk::mock::{Host, Plugin};
/// use portcullis_sdk::prelude::*;
///
/// #[derive(Default)]
/// struct Pass;
///
/// #[filter]
/// impl Filter for Pass {}
///
/// # Host::new();
/// assert!(Plugin::<Pass>::start(r#"{"unknown": 1}"#).is_err());
/// let plugin = Plugin::<Pass>::start("")?;
/// assert!(plugin.request([]).send().outcome().is_continued());
/// assert_eq!(plugin.trapped(), None);
/// # Ok::<(), String>(())
/// ```
pub struct Plugin<F: Filter> {
    configuration: String,
    instance: RefCell<Rc<Instance>>,
    filter: PhantomData<F>,
}

impl<F: Filter> std::fmt::Debug for Plugin<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

impl<F: Filter> Plugin<F> {
    /// Starts the filter with a configuration, as the host would; the error is what was logged.
    pub fn start(configuration: &str) -> Result<Self, String> {
        let instance = start_instance::<F>(configuration)?;
        clock::catch_up();
        Ok(Plugin {
            configuration: configuration.to_owned(),
            instance: RefCell::new(instance),
            filter: PhantomData,
        })
    }

    /// A request, to be completed and [sent](Sending::send); several may be under way at once. `:method`, `:path`,
    /// `:scheme` and `:authority` are `GET`, `/`, `https` and `example.com` unless they are given.
    ///
    /// After a trap, as in a gateway, the next request meets a new instance.
    ///
    /// # Panics
    /// When it is sent to a filter that trapped and does not start again.
    pub fn request<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Sending<'_, Exchange> {
        let defaults = [
            (":method", "GET"),
            (":path", "/"),
            (":scheme", "https"),
            (":authority", "example.com"),
        ];
        let send = |headers, pieces| Exchange::begin(self.living_instance(), headers, pieces);
        Sending::new(with_defaults(headers, &defaults), Box::new(send))
    }

    /// What the present instance logged before it trapped; None while it lives.
    pub fn trapped(&self) -> Option<String> {
        self.instance.borrow().trapped()
    }

    #[allow(clippy::panic, reason = "for tests alone")]
    fn living_instance(&self) -> Rc<Instance> {
        if self.trapped().is_some() {
            match start_instance::<F>(&self.configuration) {
                Ok(instance) => drop(self.instance.replace(instance)),
                Err(line) => panic!("the filter did not start again: {line}"),
            }
        }
        self.instance.borrow().clone()
    }
}

fn start_instance<F: Filter>(configuration: &str) -> Result<Rc<Instance>, String> {
    let instance = Rc::new(Instance::start(Box::new(Runtime::<F>::new()), configuration)?);
    clock::attach(&instance);
    Ok(instance)
}
