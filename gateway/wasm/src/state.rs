//! What the host keeps beside a guest: who the plugin is, what is running, and the exchange it may touch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis_exchange::{Connection, Exchange, RequestHead};
use portcullis_model::{Capabilities, Plugin, Strictness};
use portcullis_telemetry::PluginMetrics;
use rustc_hash::FxHashSet;
use wasmtime::{Memory, TypedFunc};

use crate::abi::AbiVersion;
use crate::breaker::Breaker;
use crate::budget::TimeBudget;
use crate::call_memory::CallMemory;
use crate::call_targets::CallTargets;
use crate::effects::{Direction, EndOfStream, LocalReply};
use crate::errands::Errands;
use crate::fault_log::FaultLog;
use crate::held::HeldStreams;
use crate::key_sets::KeySets;
use crate::limits::MemoryAccount;
use crate::made_fields::MadeFields;
use crate::metering::Metering;
use crate::node::NodeMetadata;
use crate::quotas::LogQuota;
use crate::shared::Scope;

/// The root context of every instance; streams have the numbers above.
pub(crate) const ROOT_CONTEXT: u32 = 1;
/// How many of the guest's last log lines a refusal shows.
const LOG_LINES_KEPT: usize = 5;

/// So many bytes are kept for what host calls give.
const MOST_SCRATCH: usize = 16 << 10;

/// All sandboxes of a plugin together have so many times the memory that one may have.
const SANDBOX_MEMORIES: u64 = 64;

/// Who a plugin is, shared by all of its instances.
pub(crate) struct PluginFacts {
    /// `Kind/ns/name`
    pub(crate) name: Box<str>,
    /// The property `plugin_name`, `ns.name` as Istio names it.
    pub(crate) property_name: Box<str>,
    pub(crate) settings: Arc<Plugin>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) node: Arc<NodeMetadata>,
    /// The clusters that may be called, of the newest configuration.
    pub(crate) targets: Arc<ArcSwap<CallTargets>>,
    /// With whom it shares data and queues.
    pub(crate) scope: Arc<Scope>,
    pub(crate) abi: AbiVersion,
    /// What its calls hold.
    pub(crate) call_memory: Arc<CallMemory>,
    /// What it may touch.
    pub(crate) capabilities: Capabilities,
    /// Whether that is less than the compatible set.
    pub(crate) is_narrowed: bool,
    /// Whether it may run at all.
    pub(crate) breaker: Breaker,
    /// How its instances failed last.
    pub(crate) faults: FaultLog,
    /// When this version of it was started.
    pub(crate) started_at: SystemTime,
    /// Whether what it runs is counted.
    pub(crate) metering: Metering,
}

/// What is running in the guest. It decides which host calls make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// `_initialize`, `_start` or the start section.
    Boot,
    /// A context is being made.
    ContextCreate,
    /// `proxy_on_vm_start`
    VmStart,
    /// `proxy_on_configure`
    Configure,
    /// `proxy_on_request_headers`
    RequestHeaders,
    /// `proxy_on_request_body`
    RequestBody,
    /// `proxy_on_request_trailers`
    RequestTrailers,
    /// `proxy_on_response_headers`
    ResponseHeaders,
    /// `proxy_on_response_body`
    ResponseBody,
    /// `proxy_on_response_trailers`
    ResponseTrailers,
    /// `proxy_on_new_connection`
    NewConnection,
    /// `proxy_on_downstream_data`
    DownstreamData,
    /// `proxy_on_upstream_data`
    UpstreamData,
    /// `proxy_on_downstream_connection_close`, `proxy_on_upstream_connection_close`
    ConnectionClose,
    /// `proxy_on_done`, `proxy_on_log`
    Log,
    /// `proxy_on_delete`
    Delete,
    /// `proxy_on_tick`
    Tick,
    /// `proxy_on_queue_ready`
    QueueReady,
    /// A call's result.
    CallResponse,
}

impl Phase {
    /// The half of a stream that a callback is about.
    pub(crate) fn direction(self) -> Option<Direction> {
        match self {
            Phase::RequestHeaders
            | Phase::RequestBody
            | Phase::RequestTrailers
            | Phase::NewConnection
            | Phase::DownstreamData => Some(Direction::Request),
            Phase::ResponseHeaders
            | Phase::ResponseBody
            | Phase::ResponseTrailers
            | Phase::UpstreamData => Some(Direction::Response),
            _ => None,
        }
    }
}

/// Whether a host call runs within another, that is in the guest's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// The guest's callback is running.
    Callback,
    /// The guest's allocator is running, inside a host call.
    Allocator,
}

/// What a callback asked for of its own stream; carried out after it has returned. What it asks for of other
/// streams goes to [`HeldStreams`].
#[derive(Default)]
pub(crate) struct Wishes {
    /// A local reply; the first one stands.
    pub(crate) reply: Option<Box<LocalReply>>,
    /// `continue_stream`: a pause that the same callback returns is void.
    pub(crate) resume: bool,
    /// `close_stream`
    pub(crate) close: bool,
    /// The body was changed.
    pub(crate) body_changed: bool,
}

impl Wishes {
    /// Whether it asked for nothing.
    pub(crate) fn are_none(&self) -> bool {
        self.reply.is_none() && !(self.resume || self.close || self.body_changed)
    }
}

/// The data of one instance's store, in this order: what each callback touches comes first and lies together.
#[repr(C)]
pub(crate) struct GuestState {
    /// The exchange of the stream that runs; a blank one while none does.
    pub(crate) exchange: Box<Exchange>,
    pub(crate) phase: Phase,
    pub(crate) nesting: Nesting,
    /// Whether the message that the callback is about ends with what the guest sees now.
    pub(crate) end: EndOfStream,
    /// The context whose callback runs.
    pub(crate) running: u32,
    /// The context that host calls mean.
    pub(crate) effective: u32,
    /// The context whose stream's end the guest is being told of, until it is done.
    pub(crate) ending: Option<u32>,
    pub(crate) wishes: Wishes,
    /// Of the body that the callback that runs is about; nothing else is.
    pub(crate) body: Bytes,
    /// Contexts that are done, to be deleted after the callback.
    pub(crate) done: Vec<u32>,
    /// Contexts of streams that the guest knows.
    pub(crate) streams: FxHashSet<u32>,
    /// What is held of other streams, and of the other half of the one that runs.
    pub(crate) held: HeldStreams,
    /// Of the start, then of each callback.
    pub(crate) time: TimeBudget,
    pub(crate) account: MemoryAccount,
    pub(crate) memory: Option<Memory>,
    /// Shared: a copy for each value that a host call gives would count up all that its type belongs to.
    pub(crate) allocator: Option<Arc<TypedFunc<u32, u32>>>,
    pub(crate) facts: Arc<PluginFacts>,
    /// What a host call gives, copied here while the guest's allocator runs; used again for the next.
    scratch: Vec<u8>,
    /// Header fields that it has set before.
    pub(crate) made_fields: MadeFields,
    /// Those of the streams that are connections whose bytes are passed on.
    pub(crate) connections: FxHashSet<u32>,
    /// Contexts whose streams are over, and which are not done.
    pub(crate) lingering: FxHashSet<u32>,
    /// What it asked for that lasts longer than a callback.
    pub(crate) errands: Errands,
    /// What Envoy would have at hand still, where the plugin wants to be treated as there.
    pub(crate) held_back: FxHashSet<(u32, Phase)>,
    /// Key sets that it verifies tokens with.
    pub(crate) key_sets: KeySets,
    /// What it may have logged.
    pub(crate) log: LogQuota,
    /// It drew random bytes while it was started.
    pub(crate) drew_random: bool,
    last_log: Option<VecDeque<String>>,
}

/// What stands in the place of an exchange where there is none.
pub(crate) fn blank_exchange() -> Box<Exchange> {
    Box::new(Exchange::new(Arc::new(Connection::nowhere()), RequestHead::default()))
}

impl GuestState {
    /// The state of an instance about to be made.
    pub(crate) fn new(facts: Arc<PluginFacts>) -> Self {
        let limits = facts.settings.limits;
        let account = MemoryAccount::open(limits.memory, facts.metrics.clone());
        GuestState::with(facts, account, TimeBudget::new(limits.start))
    }

    fn with(facts: Arc<PluginFacts>, account: MemoryAccount, time: TimeBudget) -> Self {
        GuestState {
            facts,
            memory: None,
            allocator: None,
            phase: Phase::Boot,
            nesting: Nesting::Callback,
            running: ROOT_CONTEXT,
            effective: ROOT_CONTEXT,
            streams: FxHashSet::default(),
            connections: FxHashSet::default(),
            lingering: FxHashSet::default(),
            ending: None,
            done: Vec::new(),
            scratch: Vec::new(),
            made_fields: MadeFields::default(),
            exchange: blank_exchange(),
            body: Bytes::new(),
            end: EndOfStream::No,
            wishes: Wishes::default(),
            held: HeldStreams::default(),
            account,
            time,
            errands: Errands::default(),
            held_back: FxHashSet::default(),
            key_sets: KeySets::default(),
            log: LogQuota::default(),
            drew_random: false,
            last_log: Some(VecDeque::new()),
        }
    }

    /// The state of an instance made from what another one was once it was configured.
    pub(crate) fn of_sandbox(facts: Arc<PluginFacts>, log: LogQuota) -> Self {
        let limits = facts.settings.limits;
        let together = SANDBOX_MEMORIES * limits.memory as u64;
        let account = MemoryAccount::open_among(limits.memory, together, facts.metrics.clone());
        let time = TimeBudget::new(limits.callback);
        GuestState { last_log: None, log, ..GuestState::with(facts, account, time) }
    }

    /// The exchange of the stream that host calls mean: of the one whose callback runs, or of one that is held.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        self.exchange_of(Direction::Response)
    }

    /// The same, to change it.
    pub(crate) fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        self.exchange_of_mut(Direction::Response)
    }

    /// The same, as the half of the stream has it whose head or trailers are meant.
    pub(crate) fn exchange_of(&self, direction: Direction) -> Option<&Exchange> {
        if self.means_what_runs() {
            return self.has_exchange().then_some(&*self.exchange);
        }
        self.held.exchange(self.effective, direction)
    }

    /// The same, to change it.
    pub(crate) fn exchange_of_mut(&mut self, direction: Direction) -> Option<&mut Exchange> {
        if self.means_what_runs() {
            return self.has_exchange().then_some(&mut *self.exchange);
        }
        self.held.exchange_mut(self.effective, direction)
    }

    /// The root context has none, nor has a stream that is over.
    fn has_exchange(&self) -> bool {
        self.running != ROOT_CONTEXT && self.phase != Phase::Delete
    }

    /// Whether host calls mean the context whose callback runs.
    pub(crate) fn means_what_runs(&self) -> bool {
        self.effective == self.running
    }

    /// What the guest sees of a body now: the piece that its callback is about, or what is held.
    pub(crate) fn body_of(&self, direction: Direction) -> Option<&Bytes> {
        if self.runs_half(direction) {
            return self.shows_body().then_some(&self.body);
        }
        self.held.body(self.effective, direction)
    }

    /// Puts another body in its place.
    pub(crate) fn set_body_of(&mut self, direction: Direction, body: Bytes) {
        if self.runs_half(direction) {
            self.body = body;
            self.wishes.body_changed = true;
        } else {
            self.held.set_body(self.effective, direction, body);
        }
    }

    /// Whether the callback that runs is about this half of the stream that host calls mean.
    pub(crate) fn runs_half(&self, direction: Direction) -> bool {
        self.means_what_runs() && self.phase.direction() == Some(direction)
    }

    /// Whether the plugin wants to be refused what Envoy refuses.
    pub(crate) fn is_strict(&self) -> bool {
        self.facts.settings.compatibility.strictness == Strictness::Envoy
    }

    /// Whether host calls mean a connection whose bytes are passed on, not a request.
    pub(crate) fn means_connection(&self) -> bool {
        self.connections.contains(&self.effective)
    }

    /// A body is at hand beside a head only where the head was all: the guest may add one.
    fn shows_body(&self) -> bool {
        match self.phase {
            Phase::RequestHeaders | Phase::ResponseHeaders => {
                self.end == EndOfStream::Yes && self.wishes.body_changed
            }
            Phase::NewConnection => false,
            _ => true,
        }
    }

    /// An empty buffer for what a host call gives, to be [put back](Self::keep_scratch).
    pub(crate) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.scratch)
    }

    /// Keeps a buffer for the next host call, unless it has become large.
    pub(crate) fn keep_scratch(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MOST_SCRATCH {
            buffer.clear();
            self.scratch = buffer;
        }
    }

    /// A context whose stream is over is done; `proxy_done`.
    pub(crate) fn drop_lingering(&mut self, stream: u32) {
        if self.ending == Some(stream) {
            self.ending = None;
            self.done.push(stream);
        } else if self.lingering.remove(&stream) {
            self.done.push(stream);
        }
    }

    /// Begins a callback of a context.
    pub(crate) fn enter(&mut self, phase: Phase, context: u32) {
        self.phase = phase;
        self.running = context;
        self.effective = context;
    }

    /// Whether log lines are kept: while the plugin starts.
    pub(crate) fn keeps_log_lines(&self) -> bool {
        self.last_log.is_some()
    }

    /// Keeps a log line while the plugin starts, for the message of a refusal.
    pub(crate) fn keep_log_line(&mut self, line: &str) {
        if let Some(lines) = &mut self.last_log {
            if lines.len() == LOG_LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(line.chars().take(500).collect());
        }
    }

    /// Ends the keeping of log lines and returns the last ones.
    pub(crate) fn take_log_lines(&mut self) -> Vec<String> {
        self.last_log.take().map(Vec::from).unwrap_or_default()
    }
}
