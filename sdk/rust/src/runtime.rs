//! What `#[filter]` exports calls into: plugin objects, the state of each request, and what callbacks decided.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use crate::abi::Level;
use crate::configuration::read_configuration;
use crate::request::Body;
use crate::{Error, Filter, Record, Request, Response, Setup, Verdict, host};

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// All plugin objects and requests of one module. Hosts may run several plugin objects in one memory.
pub struct Runtime<F: Filter> {
    filters: RefCell<Vec<(u32, Rc<F>)>>,
    streams: RefCell<HashMap<u32, Stream<F>, BuildHasherDefault<IdHasher>>>,
}

struct Stream<F: Filter> {
    filter: Rc<F>,
    state: F::State,
}

impl<F: Filter> Default for Runtime<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Filter> Runtime<F> {
    /// Requests without state need no entry as long as there is one filter that they can belong to.
    const REMEMBERS_NOTHING: bool = size_of::<F::State>() == 0;

    /// Nothing configured yet.
    pub const fn new() -> Self {
        Runtime {
            filters: RefCell::new(Vec::new()),
            streams: RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())),
        }
    }

    /// The virtual machine has started.
    pub fn on_vm_start(&self) -> bool {
        log_panics();
        true
    }

    /// Makes the filter of a plugin object; false refuses it.
    pub fn on_configure(&self, root: u32, size: usize) -> bool {
        let made = host::plugin_configuration(size)
            .map_err(Into::into)
            .and_then(|bytes| read_configuration(&bytes))
            .and_then(|configuration| F::new(configuration, &mut Setup::new(root)));
        match made {
            Ok(filter) => {
                let mut filters = self.filters.borrow_mut();
                filters.retain(|(known, _)| *known != root);
                filters.push((root, Rc::new(filter)));
                true
            }
            Err(error) => {
                host::log(Level::Error, &error.to_string());
                false
            }
        }
    }

    /// A plugin object (parent 0, its filter is made when it is configured) or a request has begun.
    pub fn on_context_create(&self, context: u32, parent: u32) {
        if parent == 0 {
            return;
        }
        let filters = self.filters.borrow();
        if Self::REMEMBERS_NOTHING && filters.len() == 1 {
            return;
        }
        let filter =
            filters.iter().find(|(root, _)| *root == parent).map(|(_, filter)| filter.clone());
        if let Some(filter) = filter {
            let stream = Stream { filter, state: F::State::default() };
            self.streams.borrow_mut().insert(context, stream);
        }
    }

    /// A request or a plugin object is gone.
    pub fn on_delete(&self, context: u32) {
        if self.streams.borrow_mut().remove(&context).is_none() {
            self.filters.borrow_mut().retain(|(root, _)| *root != context);
        }
    }

    /// The request's headers.
    pub fn on_request_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        let mut request = Request::new(body(end_of_stream));
        conclude(self.decide_request(context, &mut request))
    }

    /// The response's headers.
    pub fn on_response_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        let mut response = Response::new(body(end_of_stream));
        conclude(self.decide_response(context, &mut response))
    }

    /// The exchange is over.
    pub fn on_log(&self, context: u32) {
        self.with_stream("on_log", context, |filter, state| filter.on_log(&Record::new(), state))
    }

    pub(crate) fn decide_request(&self, context: u32, request: &mut Request) -> Verdict {
        self.with_stream("on_request_headers", context, |filter, state| {
            filter.on_request_headers(request, state)
        })
    }

    pub(crate) fn decide_response(&self, context: u32, response: &mut Response) -> Verdict {
        self.with_stream("on_response_headers", context, |filter, state| {
            filter.on_response_headers(response, state)
        })
    }

    /// A request that never began, or is already inside a callback, is the host's fault and must not pass unfiltered.
    fn with_stream<T>(
        &self,
        callback: &'static str,
        context: u32,
        call: impl FnOnce(&F, &mut F::State) -> Result<T, Error>,
    ) -> T {
        let Ok(mut streams) = self.streams.try_borrow_mut() else {
            fail(callback, "called while another callback runs")
        };
        let result = match streams.get_mut(&context) {
            Some(stream) => call(&stream.filter, &mut stream.state),
            None => match self.only_filter() {
                Some(filter) => call(&filter, &mut F::State::default()),
                None => fail(callback, "called for a request that has not begun"),
            },
        };
        match result {
            Ok(value) => value,
            Err(error) => fail(callback, error),
        }
    }

    /// The filter of requests without an entry: there was no other when they began.
    fn only_filter(&self) -> Option<Rc<F>> {
        if !Self::REMEMBERS_NOTHING {
            return None;
        }
        self.filters.borrow().first().map(|(_, filter)| filter.clone())
    }
}

fn body(end_of_stream: u32) -> Body {
    if end_of_stream == 0 { Body::Follows } else { Body::None }
}

/// A reply stops the request whatever else happens to it.
fn conclude(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Continue => CONTINUE,
        Verdict::Reply(reply) => match reply.send() {
            Ok(()) => PAUSE,
            Err(error) => fail("a reply", error),
        },
    }
}

/// Logs and traps: the host's failure policy decides what becomes of the request.
#[cold]
fn fail(callback: &str, error: impl Display) -> ! {
    host::log(Level::Error, &format!("{callback} failed: {error}"));
    host::trap()
}

/// A panic aborts the module; this leaves its message and place in the host's log first.
fn log_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| host::log(Level::Critical, &panic.to_string())));
}

/// Memory for the host to write into.
#[cfg(target_arch = "wasm32")]
pub fn allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

/// Context ids are small and given by the host in turn: spread by one multiplication.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests;
