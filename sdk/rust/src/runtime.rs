//! What `#[filter]` exports calls into: plugin objects, the callbacks of each exchange, and who is polled when.

mod at_once;
mod background;
mod driving;
mod stream;
mod task;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::rc::Rc;

use crate::abi::{Level, StreamKind};
use crate::configuration::Configuration as _;
use crate::hooks::{GrpcEvent, HttpAnswer, with_hooks};
use crate::id_map::IdMap;
use crate::{Error, Filter, Record, Setup, host, place};
use background::Background;
use stream::Stream;
use task::AnyTask;

/// The message goes on.
const CONTINUE: u32 = 0;
/// The host holds the message.
const PAUSE: u32 = 1;

/// All plugin objects and exchanges of one module. Hosts may run several plugin objects in one memory.
pub struct Runtime<F: Filter> {
    plugins: RefCell<Vec<PluginObject<F>>>,
    streams: RefCell<IdMap<Stream<F>>>,
    /// Tasks that have ended, for the next requests and responses.
    idle: [RefCell<Vec<AnyTask<F>>>; 2],
}

struct PluginObject<F: Filter> {
    root: u32,
    filter: Rc<F>,
    background: Option<Background>,
}

impl<F: Filter> Default for Runtime<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// The callbacks of Proxy-Wasm. Numbers are the ABI's: contexts, calls, sizes in bytes, 0 for false.
impl<F: Filter> Runtime<F> {
    /// Requests without state need no entry as long as there is one filter that they can belong to.
    const REMEMBERS_NOTHING: bool = size_of::<F::State>() == 0;

    /// Nothing configured yet.
    pub const fn new() -> Self {
        Runtime {
            plugins: RefCell::new(Vec::new()),
            streams: RefCell::new(HashMap::with_hasher(crate::id_map::hasher())),
            idle: [RefCell::new(Vec::new()), RefCell::new(Vec::new())],
        }
    }

    /// The virtual machine has started.
    pub fn on_vm_start(&self) -> bool {
        log_panics();
        true
    }

    /// Makes the filter of a plugin object; false refuses it.
    pub fn on_configure(&self, root: u32, size: usize) -> bool {
        place::enter(root);
        place::act_for(root, root);
        let made = host::plugin_configuration(size)
            .map_err(Into::into)
            .and_then(|bytes| F::Configuration::read(&bytes))
            .and_then(|configuration| F::new(configuration, &mut Setup::new(root)));
        match made {
            Ok(filter) => {
                self.install(root, Rc::new(filter));
                true
            }
            Err(error) => {
                host::log(Level::Error, &error.to_string());
                false
            }
        }
    }

    fn install(&self, root: u32, filter: Rc<F>) {
        let background = F::BACKGROUND.then(|| Background::begin(root, filter.clone()));
        let replaced: Vec<_> = {
            let mut plugins = self.plugins.borrow_mut();
            let replaced = plugins.extract_if(.., |plugin| plugin.root == root).collect();
            plugins.push(PluginObject { root, filter, background });
            replaced
        };
        drop(replaced);
        self.drive();
    }

    /// A plugin object (parent 0, its filter is made when it is configured) or a request has begun.
    pub fn on_context_create(&self, context: u32, parent: u32) {
        if parent == 0 {
            return;
        }
        let plugins = self.plugins.borrow();
        if Self::REMEMBERS_NOTHING && plugins.len() == 1 {
            return;
        }
        if let Some(plugin) = plugins.iter().find(|plugin| plugin.root == parent) {
            let stream = Stream::new(parent, plugin.filter.clone(), Some(F::State::default()));
            self.streams.borrow_mut().insert(context, stream);
        }
    }

    /// A request's headers; the answer is 0 to go on, 1 to hold it.
    pub fn on_request_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        self.on_head(context, StreamKind::Request, end_of_stream != 0)
    }

    /// A response's headers.
    pub fn on_response_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        self.on_head(context, StreamKind::Response, end_of_stream != 0)
    }

    /// `size` bytes of a request's body are in the host's buffer.
    pub fn on_request_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32 {
        self.on_body(context, StreamKind::Request, size, end_of_stream != 0)
    }

    /// `size` bytes of a response's body are in the host's buffer.
    pub fn on_response_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32 {
        self.on_body(context, StreamKind::Response, size, end_of_stream != 0)
    }

    /// A request's trailers.
    pub fn on_request_trailers(&self, context: u32, _: u32) -> u32 {
        self.on_trailers(context, StreamKind::Request)
    }

    /// A response's trailers.
    pub fn on_response_trailers(&self, context: u32, _: u32) -> u32 {
        self.on_trailers(context, StreamKind::Response)
    }

    /// A call was answered; no headers mean that there is no answer.
    pub fn on_http_call_response(
        &self,
        context: u32,
        call: u32,
        fields: u32,
        body_size: usize,
        _: u32,
    ) {
        place::enter(context);
        if let Some(told) = with_hooks(|hooks| hooks.http.get()) {
            told(HttpAnswer { call, fields, body_size });
        }
        self.drive();
    }

    /// The first metadata of a gRPC call; nobody asks for it.
    pub fn on_grpc_receive_initial_metadata(&self, _: u32, _: u32, _: u32) {}

    /// A message of a gRPC call.
    pub fn on_grpc_receive(&self, context: u32, call: u32, size: usize) {
        self.on_grpc(context, call, GrpcEvent::Message { size });
    }

    /// The last metadata of a gRPC call; nobody asks for it.
    pub fn on_grpc_receive_trailing_metadata(&self, _: u32, _: u32, _: u32) {}

    /// A gRPC call or stream has ended.
    pub fn on_grpc_close(&self, context: u32, call: u32, status: u32) {
        self.on_grpc(context, call, GrpcEvent::Closed { status });
    }

    fn on_grpc(&self, context: u32, call: u32, event: GrpcEvent) {
        place::enter(context);
        if let Some(told) = with_hooks(|hooks| hooks.grpc.get()) {
            told(call, event);
        }
        self.drive();
    }

    /// Time has passed.
    pub fn on_tick(&self, root: u32) {
        place::enter(root);
        if let Some(told) = with_hooks(|hooks| hooks.tick.get()) {
            told(root);
        }
        self.drive();
    }

    /// Something is in a shared queue.
    pub fn on_queue_ready(&self, root: u32, _queue: u32) {
        place::enter(root);
        self.drive();
    }

    /// The exchange is over: nothing is awaited any more.
    pub fn on_done(&self, context: u32) -> bool {
        place::enter(context);
        self.abandon(context);
        self.drive();
        true
    }

    /// The exchange is about to be logged.
    pub fn on_log(&self, context: u32) {
        place::enter(context);
        if F::WAITS {
            self.abandon(context);
        }
        let log = |filter: &F, state: &mut F::State| filter.log(&Record::new(), state);
        if let Err(error) = self.with_stream("log", context, log) {
            fail("log", error);
        }
        self.drive();
    }

    /// A request or a plugin object is gone.
    pub fn on_delete(&self, context: u32) {
        place::enter(context);
        if F::WAITS {
            self.abandon(context);
        }
        let stream = self.streams.borrow_mut().remove(&context);
        if stream.is_none() {
            let gone = self.plugins.borrow_mut().extract_if(.., |p| p.root == context).next();
            drop(gone);
        }
        self.drive();
    }

    /// A request that never began, or is already inside a callback, is the host's fault and must not pass unfiltered.
    fn with_stream<T>(
        &self,
        callback: &'static str,
        context: u32,
        call: impl FnOnce(&F, &mut F::State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Ok(mut streams) = self.streams.try_borrow_mut() else {
            fail(callback, "called while another callback runs")
        };
        match streams.get_mut(&context) {
            Some(stream) => call(&stream.filter, stream.state.get_or_insert_default()),
            None => match self.only_filter() {
                Some((_, filter)) => call(&filter, &mut F::State::default()),
                None => fail(callback, "called for a request that has not begun"),
            },
        }
    }

    /// The filter of requests without an entry: there was no other when they began.
    fn only_filter(&self) -> Option<(u32, Rc<F>)> {
        if !Self::REMEMBERS_NOTHING {
            return None;
        }
        self.plugins.borrow().first().map(|plugin| (plugin.root, plugin.filter.clone()))
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

#[cfg(test)]
mod tests;
