//! What one worker thread owns.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portcullis_discovery::Discovery;
use portcullis_exchange::Exchange;
use portcullis_filters::{ForeignAudience, TokenCache};
use portcullis_message::{ForeignChain, TrustedProxies};
use portcullis_snapshot::{Pinned, Published, View};
use portcullis_telemetry::{
    AccessLog, ConnectionEvent, EdgeCounts, LogRule, MetricShard, PluginMetrics, PluginPhase,
    RequestTarget,
};
use portcullis_upstream::Pools;
use portcullis_wasm::WorkerInstances;
use tokio::sync::Notify;

use crate::laps::Timed;
use crate::mirror_places::MirrorPlaces;
use crate::{Drain, Overload, RequestPlace, UnderWay, UnsafeRepeats};

/// What every worker is given.
#[derive(Clone)]
pub struct WorkerSettings {
    /// The snapshot to serve.
    pub published: Arc<Published>,
    /// Who looks up the hosts of requests themselves (`DYNAMIC_DNS`); `None` where nobody does.
    pub discovery: Option<Arc<Discovery>>,
    /// Where exchanges are logged; `None` for `--access-log off`.
    pub access_log: Option<AccessLog>,
    /// Whether responses carry `x-portcullis-*`.
    pub debug_headers: DebugHeaders,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted: Arc<TrustedProxies>,
    /// What becomes of the `X-Forwarded-For` of others.
    pub foreign_chain: ForeignChain,
    /// Whether a request that is not idempotent is repeated where a policy says so.
    pub unsafe_repeats: UnsafeRepeats,
    /// What becomes of tokens that are for other audiences.
    pub foreign_audience: ForeignAudience,
    /// Whether trusted peers are ALBs that verify client certificates.
    pub alb_mtls: AlbMtls,
    /// Whether the process is on its way out.
    pub drain: Drain,
    /// Whether there is memory for further requests.
    pub overload: Overload,
    /// What is counted for the whole process.
    pub counts: Arc<EdgeCounts>,
}

/// `--alb-mtls`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlbMtls {
    /// What ALBs say of client certificates is passed on and means nothing here.
    #[default]
    Off,
    /// They authenticate every client, in the mode *verify*: what they say becomes `X-Forwarded-Client-Cert`.
    Verify,
}

/// `--debug-headers`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugHeaders {
    /// Responses say nothing of us.
    Off,
    /// Responses carry the generation, route, cluster and upstream.
    On,
}

/// One worker's own things; nothing in it is shared with another thread.
pub struct Worker {
    /// What it was given.
    pub settings: WorkerSettings,
    pub(crate) pools: Pools,
    pub(crate) mirrors: MirrorPlaces,
    pub(crate) instances: WorkerInstances,
    /// Tokens that were verified here a moment ago.
    pub(crate) tokens: RefCell<TokenCache>,
    /// Tells of each newer generation.
    pub(crate) renewals: Notify,
    under_way: Rc<UnderWay>,
    view: View,
    shard: RefCell<MetricShard>,
}

impl Worker {
    /// The worker with this index. To be made on its own thread.
    pub fn new(settings: WorkerSettings, index: usize) -> Rc<Self> {
        Rc::new(Worker {
            view: View::new(settings.published.clone()),
            pools: Pools::new(),
            mirrors: MirrorPlaces::default(),
            instances: WorkerInstances::new(index),
            tokens: RefCell::new(TokenCache::default()),
            renewals: Notify::new(),
            under_way: Rc::default(),
            shard: RefCell::new(MetricShard::default()),
            settings,
        })
    }

    /// The current snapshot, to be held for one exchange.
    pub fn pin(&self) -> Rc<Pinned> {
        self.view.pin()
    }

    /// A request begins: its place among those that [`look_at_requests`](Self::look_at_requests) looks at.
    pub fn begin_request(&self) -> RequestPlace {
        self.under_way.enter()
    }

    /// Looks whether every request still moves as fast as it should, and has those that do not broken off. To
    /// be called once a second.
    pub async fn look_at_requests(&self) {
        // Those whose plugin failed get a new instance, requests or not.
        self.wake_plugins();
        self.instances.take_untimed(|plugin, phase, count| {
            self.shard.borrow_mut().untimed_callbacks(plugin, phase, count);
        });
        self.under_way.look().await;
    }

    /// A copy of its metrics.
    pub fn shard(&self) -> MetricShard {
        self.shard.borrow().clone()
    }

    /// Lets go of what the newest generation has no use for: its view of older ones, idle connections to
    /// endpoints that left, instances of plugins that were replaced, tunnels whose client it would not let in.
    /// Exchanges in flight keep theirs.
    pub fn on_new_generation(&self) {
        let snapshot = self.pin();
        self.pools.drop_removed();
        self.instances.retain(|plugin| snapshot.has_plugin(plugin));
        self.wake_plugins();
        self.renewals.notify_waiters();
    }

    /// Counts one callback of a plugin.
    pub(crate) fn count_callback(
        &self,
        plugin: &PluginMetrics,
        phase: PluginPhase,
        took: Duration,
    ) {
        self.shard.borrow_mut().plugin_callback(plugin, phase, took);
    }

    /// The same of one that ended a lap, with those before it that were not measured.
    pub(crate) fn count_timed(&self, plugin: &PluginMetrics, phase: PluginPhase, timed: Timed) {
        let mut shard = self.shard.borrow_mut();
        shard.untimed_callbacks(plugin, phase, timed.untimed);
        shard.plugin_callback(plugin, phase, timed.took);
    }

    /// Counts what happened to a connection whose bytes are passed on.
    pub(crate) fn count_connection(&self, target: &RequestTarget, event: ConnectionEvent) {
        self.shard.borrow_mut().connection(target, event);
    }

    /// Counts a finished exchange.
    pub(crate) fn count(&self, target: &Arc<RequestTarget>, exchange: &Exchange) {
        self.shard.borrow_mut().record(target, exchange);
    }

    /// Logs what has ended, unless its listener's rule leaves it out.
    pub(crate) fn log(&self, exchange: &Exchange, rule: Option<&LogRule>) {
        if let Some(log) = &self.settings.access_log
            && rule.is_none_or(|rule| rule.takes(exchange))
        {
            log.record(exchange);
        }
    }
}
