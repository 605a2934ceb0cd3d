//! What the mock host of one thread remembers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::call::{Answer, Call, Delivered};
use super::events::Events;
use super::grpc::{GrpcAnswer, GrpcCall};
use super::metrics::Metrics;
use super::shared::{Queues, SharedData};
use super::stream::{Headers, Part, Stream};
use crate::HostError;
use crate::abi::{BufferKind, Level, MapKind};

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

/// Runs a closure on this thread's state; never nested.
pub(crate) fn with_state<T>(call: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(call)
}

/// Back to the first state; ids are never given twice. The old state is dropped outside: what it holds may call the host.
pub(crate) fn reset() {
    let old = with_state(|state| {
        let (last_context, last_call) = (state.last_context, state.last_call);
        std::mem::replace(state, State { last_context, last_call, ..State::default() })
    });
    drop(old);
}

/// The payload with which a trap unwinds.
pub(crate) struct Trap;

pub(crate) type ForeignFunction = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, HostError>>;
pub(crate) type Service = Rc<dyn Fn(&Call) -> Answer>;
pub(crate) type GrpcService = Rc<dyn Fn(&GrpcCall) -> GrpcAnswer>;

pub(crate) struct State {
    /// Context ids are given once.
    last_context: u32,
    last_call: u32,
    /// The context that calls speak of.
    pub(crate) context: u32,
    pub(crate) roots: BTreeSet<u32>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    pub(crate) configuration: Vec<u8>,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    pub(crate) metrics: Metrics,
    pub(crate) functions: BTreeMap<String, ForeignFunction>,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) calls: Vec<Call>,
    pub(crate) grpc_services: BTreeMap<String, GrpcService>,
    pub(crate) grpc_calls: Vec<GrpcCall>,
    /// Open streams, with what was given when they were opened.
    pub(crate) grpc_streams: BTreeMap<u32, GrpcCall>,
    pub(crate) delivered: Option<Delivered>,
    pub(crate) closed: (u32, String),
    pub(crate) shared: SharedData,
    pub(crate) queues: Queues,
    pub(crate) events: Events,
    pub(crate) now: Duration,
    pub(crate) seed: u64,
    pub(crate) log_level: Level,
    pub(crate) log: Vec<(Level, String)>,
}

impl Default for State {
    fn default() -> Self {
        State {
            last_context: 0,
            last_call: 0,
            context: 0,
            roots: BTreeSet::new(),
            streams: BTreeMap::new(),
            configuration: Vec::new(),
            properties: BTreeMap::new(),
            metrics: Metrics::default(),
            functions: BTreeMap::new(),
            services: BTreeMap::new(),
            calls: Vec::new(),
            grpc_services: BTreeMap::new(),
            grpc_calls: Vec::new(),
            grpc_streams: BTreeMap::new(),
            delivered: None,
            closed: (0, String::new()),
            shared: SharedData::default(),
            queues: Queues::default(),
            events: Events::default(),
            now: Duration::ZERO,
            seed: 0,
            log_level: Level::Trace,
            log: Vec::new(),
        }
    }
}

impl State {
    pub(crate) fn new_context(&mut self) -> u32 {
        self.last_context += 1;
        self.last_context
    }

    pub(crate) fn new_call(&mut self) -> u32 {
        self.last_call += 1;
        self.last_call
    }

    /// Calls speak of this context from now on.
    pub(crate) fn enter(&mut self, context: u32) -> Result<(), HostError> {
        if !self.streams.contains_key(&context) && !self.roots.contains(&context) {
            return Err(HostError::new("set_effective_context", HostError::BAD_ARGUMENT));
        }
        self.context = context;
        Ok(())
    }

    /// The root context of the present one.
    pub(crate) fn root(&self) -> u32 {
        self.streams.get(&self.context).map_or(self.context, |stream| stream.root)
    }

    /// The request that calls speak of.
    pub(crate) fn stream(&mut self, call: &'static str) -> Result<&mut Stream, HostError> {
        let stream = self.streams.get_mut(&self.context);
        stream.ok_or(HostError::new(call, HostError::BAD_ARGUMENT))
    }

    pub(crate) fn map(
        &mut self,
        kind: MapKind,
        call: &'static str,
    ) -> Result<&mut Part<Headers>, HostError> {
        self.stream(call)?.map(kind).ok_or(HostError::new(call, HostError::BAD_ARGUMENT))
    }

    /// A map to read: of a message, or of what was just delivered.
    pub(crate) fn readable_map(
        &mut self,
        kind: MapKind,
        call: &'static str,
    ) -> Result<&Headers, HostError> {
        match kind {
            MapKind::CallResponseHeaders | MapKind::GrpcInitialMetadata => {
                Ok(&self.delivered(call)?.headers)
            }
            MapKind::CallResponseTrailers | MapKind::GrpcTrailingMetadata => {
                Ok(&self.delivered(call)?.trailers)
            }
            _ => self.map(kind, call)?.read(call),
        }
    }

    /// A buffer to read.
    pub(crate) fn readable_buffer(
        &mut self,
        kind: BufferKind,
        call: &'static str,
    ) -> Result<&[u8], HostError> {
        match kind {
            BufferKind::PluginConfiguration => Ok(&self.configuration),
            BufferKind::CallResponseBody | BufferKind::GrpcMessage => {
                Ok(&self.delivered(call)?.body)
            }
            BufferKind::RequestBody | BufferKind::ResponseBody => {
                Ok(self.buffer(kind, call)?.read(call)?)
            }
        }
    }

    pub(crate) fn buffer(
        &mut self,
        kind: BufferKind,
        call: &'static str,
    ) -> Result<&mut Part<Vec<u8>>, HostError> {
        self.stream(call)?.buffer(kind).ok_or(HostError::new(call, HostError::BAD_ARGUMENT))
    }

    fn delivered(&self, call: &'static str) -> Result<&Delivered, HostError> {
        self.delivered.as_ref().ok_or(HostError::new(call, HostError::BAD_ARGUMENT))
    }
}
