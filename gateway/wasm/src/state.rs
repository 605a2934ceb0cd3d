//! What the host keeps beside a guest: who the plugin is, what is running, and the exchange it may touch.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis_exchange::{Connection, Exchange, RequestHead};
use portcullis_model::Plugin;
use portcullis_telemetry::PluginMetrics;
use rustc_hash::FxHashSet;
use wasmtime::{Memory, TypedFunc};

use crate::abi::AbiVersion;
use crate::budget::TimeBudget;
use crate::effects::LocalReply;
use crate::limits::MemoryAccount;
use crate::node::NodeMetadata;

/// The root context of every instance; streams have the numbers above.
pub(crate) const ROOT_CONTEXT: u32 = 1;
/// How many of the guest's last log lines a refusal shows.
const LOG_LINES_KEPT: usize = 5;

/// Who a plugin is, shared by all of its instances.
pub(crate) struct PluginFacts {
    /// `Kind/ns/name`
    pub(crate) name: Box<str>,
    /// The property `plugin_name`, `ns.name` as Istio names it.
    pub(crate) property_name: Box<str>,
    pub(crate) settings: Arc<Plugin>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) node: Arc<NodeMetadata>,
    pub(crate) abi: AbiVersion,
}

/// What is running in the guest. It decides which host calls make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// `proxy_on_response_headers`
    ResponseHeaders,
    /// `proxy_on_done`, `proxy_on_log`
    Log,
    /// `proxy_on_delete`
    Delete,
}

/// Whether a host call runs within another, that is in the guest's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// The guest's callback is running.
    Callback,
    /// The guest's allocator is running, inside a host call.
    Allocator,
}

/// What a callback asked for; carried out after it has returned.
#[derive(Default)]
pub(crate) struct Wishes {
    /// A local reply; the first one stands.
    pub(crate) reply: Option<LocalReply>,
    /// `continue_stream`: a pause that the same callback returns is void.
    pub(crate) resume: bool,
}

/// The data of one instance's store.
pub(crate) struct GuestState {
    pub(crate) facts: Arc<PluginFacts>,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocator: Option<TypedFunc<u32, u32>>,
    pub(crate) phase: Phase,
    pub(crate) nesting: Nesting,
    /// The context whose callback runs.
    pub(crate) running: u32,
    /// The context that host calls mean.
    pub(crate) effective: u32,
    /// Contexts of streams that the guest knows.
    pub(crate) streams: FxHashSet<u32>,
    /// The exchange of the stream that runs; a blank one while none does.
    pub(crate) exchange: Box<Exchange>,
    pub(crate) wishes: Wishes,
    pub(crate) account: MemoryAccount,
    /// Of the start, then of each callback.
    pub(crate) time: TimeBudget,
    /// Calls not served yet that were logged, one bit each.
    pub(crate) unserved_logged: u64,
    last_log: Option<VecDeque<String>>,
}

impl GuestState {
    /// The state of an instance about to be made.
    pub(crate) fn new(facts: Arc<PluginFacts>) -> Self {
        let limits = facts.settings.limits;
        let account = MemoryAccount::open(limits.memory, facts.metrics.clone());
        GuestState {
            facts,
            memory: None,
            allocator: None,
            phase: Phase::Boot,
            nesting: Nesting::Callback,
            running: ROOT_CONTEXT,
            effective: ROOT_CONTEXT,
            streams: FxHashSet::default(),
            exchange: Box::new(Exchange::new(
                Arc::new(Connection::nowhere()),
                RequestHead::default(),
            )),
            wishes: Wishes::default(),
            account,
            time: TimeBudget::new(limits.start),
            unserved_logged: 0,
            last_log: Some(VecDeque::new()),
        }
    }

    /// The exchange, where host calls mean the stream whose callback runs.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        self.means_a_stream().then_some(&*self.exchange)
    }

    /// The same, to change it.
    pub(crate) fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        self.means_a_stream().then_some(&mut *self.exchange)
    }

    fn means_a_stream(&self) -> bool {
        self.running != ROOT_CONTEXT && self.effective == self.running
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
