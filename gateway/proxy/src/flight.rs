//! A request in flight: its record together with what it holds, from admission to the log line.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_exchange::{Exchange, ResponseFlag, ResponseHead};
use portcullis_message::HeadRules;
use portcullis_snapshot::{CompiledListener, Pinned};
use portcullis_telemetry::{LogRule, RequestTarget};
use portcullis_upstream::{Cluster, Endpoint, Outcome, RequestProgress};
use portcullis_wasm::Hooks;

use crate::choose::{Choice, Table};
use crate::flow::Flow;
use crate::request_pump::RequestPump;
use crate::route_timeout::RouteTimeout;
use crate::running::{Chain, RunningStep, RunningSteps};
use crate::{DrainPhase, Progress, Worker};

/// What a request holds while it lasts. When it is dropped before [`Flight::finish`], the client went away.
pub(crate) struct Flight {
    pub(crate) worker: Rc<Worker>,
    /// `None` once it was [let go of](Self::let_go_of_configuration).
    pub(crate) snapshot: Option<Rc<Pinned>>,
    /// The socket's table in that snapshot; `None` where the socket is being removed.
    pub(crate) table: Option<Table>,
    pub(crate) exchange: Box<Exchange>,
    pub(crate) choice: Choice,
    /// The chosen destination of the chosen rule.
    pub(crate) destination: Option<usize>,
    pub(crate) steps: RunningSteps,
    /// The plugins and native filters of its listener and rule, where there are any.
    pub(crate) chain: Option<Chain>,
    /// The request's body on its way through plugins, once its head is upstream.
    pub(crate) pump: Option<RequestPump>,
    /// The reply's body on its way through plugins.
    pub(crate) response_flow: Option<Box<Flow>>,
    /// The request's origin, where its rule allows it: the reply says so.
    pub(crate) allowed_origin: Option<Box<HeaderValue>>,
    /// How much of the request body went upstream.
    pub(crate) upload: Option<Arc<RequestProgress>>,
    /// How far it has come, which its deadlines are held against.
    pub(crate) progress: Rc<Progress>,
    /// The route's timeout, once the request is on its way.
    pub(crate) timeout: Option<RouteTimeout>,
    /// The endpoint that it was sent to last.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    /// The cluster that stands for its own host, under `DYNAMIC_DNS`: the endpoint is that one's.
    pub(crate) host_cluster: Option<Arc<Cluster>>,
    /// How it is counted, where it no longer holds what says so.
    labels: Option<Arc<RequestTarget>>,
    /// Whether it is logged, likewise.
    log_rule: Option<Arc<LogRule>>,
    finished: bool,
}

impl Flight {
    pub(crate) fn begin(
        worker: Rc<Worker>,
        snapshot: Rc<Pinned>,
        table: Option<Table>,
        exchange: Box<Exchange>,
        progress: Rc<Progress>,
    ) -> Self {
        Flight {
            table,
            worker,
            snapshot: Some(snapshot),
            exchange,
            choice: Choice::NONE,
            destination: None,
            steps: RunningSteps::default(),
            chain: None,
            pump: None,
            response_flow: None,
            allowed_origin: None,
            upload: None,
            progress,
            timeout: None,
            endpoint: None,
            host_cluster: None,
            labels: None,
            log_rule: None,
            finished: false,
        }
    }

    /// By which rules the request's head is read again after it was changed: those of its listener.
    pub(crate) fn head_rules(&self) -> HeadRules {
        let listener = self.table.as_ref().and_then(|table| self.choice.listener(table));
        listener.map_or(HeadRules::SAFEST, CompiledListener::head_rules)
    }

    /// Whether the record keeps its heads when they are sent on: for plugins, the log, or the metrics of gRPC.
    pub(crate) fn keeps_heads(&self) -> bool {
        self.worker.settings.access_log.is_some()
            || !self.steps.is_empty()
            || self.exchange.request.is_grpc()
    }

    /// Whether any plugin wants more of the request than its head.
    pub(crate) fn wants_request_body(&self) -> bool {
        // What comes on a connection that is to be switched is no body.
        self.exchange.upgrade.is_none()
            && self.wants(|hooks| hooks.request_body || hooks.request_trailers)
    }

    /// Whether any plugin wants more of the reply than its head.
    pub(crate) fn wants_response_body(&self) -> bool {
        self.wants(|hooks| hooks.response_body || hooks.response_trailers)
    }

    fn wants(&self, wants: impl Fn(Hooks) -> bool) -> bool {
        let Some(chain) = &self.chain else { return false };
        let plugin = |step: &RunningStep| chain.get(step.index)?.plugin()?.plugin.as_ref();
        let mut plugins = self.steps.0.iter().filter_map(plugin);
        plugins.any(|plugin| wants(plugin.module().hooks()))
    }

    /// Takes the record back from the plugin that holds the reply.
    pub(crate) fn bring_back(&mut self) {
        if let Some(flow) = &mut self.response_flow {
            flow.bring_back(&mut self.exchange);
        }
    }

    /// Records what became of it at the endpoint that it was sent to.
    pub(crate) fn record_outcome(&self, outcome: Outcome) {
        let Some(endpoint) = &self.endpoint else { return };
        if let Some(cluster) = &self.host_cluster {
            return cluster.record(endpoint, outcome);
        }
        let rule = self.table.as_ref().and_then(|table| self.choice.rule(table));
        let destination = rule.and_then(|rule| rule.destinations.get(self.destination?));
        if let Some(cluster) = destination.and_then(|destination| destination.cluster.as_ref()) {
            cluster.record(endpoint, outcome);
        }
    }

    /// Holds on to no configuration any more: what lives as long as a WebSocket would keep each one alive that it was
    /// opened under.
    pub(crate) fn let_go_of_configuration(&mut self) {
        self.labels = self.target().cloned();
        self.log_rule = self.log_rule().cloned();
        self.table = None;
        self.snapshot = None;
    }

    /// Has the exchange leave no trace in log and metrics.
    pub(crate) fn keep_off_the_record(&mut self) {
        self.finished = true;
    }

    /// Records the exchange: plugins' `on_log`, metrics, access log. Once only.
    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.bring_back();
        if let Some(pump) = self.pump.take() {
            pump.hand_over(&mut self.exchange);
        }
        self.exchange.timings.ended = Some(Instant::now());
        if let Some(overdue) = self.progress.overdue() {
            self.exchange.flags.set(overdue.flag());
            self.exchange.code_details = overdue.details().into();
        }
        if let Some(upload) = &self.upload {
            self.exchange.bytes_received = upload.bytes();
            self.exchange.timings.request_ended = upload.ended_at().map(Into::into);
        }
        let chain = self.chain.as_deref().unwrap_or_default();
        self.steps.close(&self.worker, chain, &mut self.exchange);
        if let Some(target) = self.target() {
            self.worker.count(target, &self.exchange);
            self.worker.log(&self.exchange, self.log_rule().map(|rule| &**rule));
        }
    }

    /// What served the request has panicked; the client gets 500 where it got nothing yet. A second panic here would
    /// end the process.
    fn finish_in_panic(&mut self) {
        let exchange = &mut self.exchange;
        exchange.flags.set(ResponseFlag::LocalReset);
        exchange.code_details = "gateway_panic".into();
        if exchange.response.is_none() {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            exchange.response = Some(ResponseHead::new(status, HeaderMap::new()));
        }
        if catch_unwind(AssertUnwindSafe(|| self.finish())).is_err() {
            tracing::error!("a panicked request could not be recorded");
        }
    }

    /// Which exchanges of its listener are logged; `None` where all are.
    fn log_rule(&self) -> Option<&Arc<LogRule>> {
        let listener = self.table.as_ref().and_then(|table| self.choice.listener(table));
        match listener {
            Some(listener) => listener.settings.access_log.as_ref(),
            None => self.log_rule.as_ref(),
        }
    }

    /// The labels under which the exchange is counted.
    fn target(&self) -> Option<&Arc<RequestTarget>> {
        if self.labels.is_some() {
            return self.labels.as_ref();
        }
        let rule = self.table.as_ref().and_then(|table| self.choice.rule(table));
        let Some(rule) = rule else {
            return self.snapshot.as_ref().map(|snapshot| &snapshot.unrouted);
        };
        let destination = self.destination.and_then(|index| rule.destinations.get(index));
        Some(destination.map_or(&rule.target, |destination| &destination.target))
    }
}

/// A request that ends before its reply is complete leaves a record like any other: its client went away, or
/// the drain cut it off.
impl Drop for Flight {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.bring_back();
        if std::thread::panicking() {
            return self.finish_in_panic();
        }
        if self.progress.is_overdue() {
            // Broken off for that, as the record tells.
        } else if let DrainPhase::Cutting(reason) = self.worker.settings.drain.phase() {
            self.exchange.flags.set(ResponseFlag::DurationTimeout);
            self.exchange.code_details = reason.details().into();
            self.exchange.termination_details = reason.details();
        } else {
            self.exchange.flags.set(ResponseFlag::DownstreamConnectionTermination);
            if self.exchange.code_details.is_empty() {
                self.exchange.code_details = "downstream_remote_disconnect".into();
            }
            self.exchange.termination_details = "downstream_disconnect";
        }
        self.finish();
    }
}
