//! A request in flight: its record together with what it holds, from admission to the log line.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use portcullis_exchange::{Exchange, ResponseFlag};
use portcullis_snapshot::{Pinned, SocketKey};
use portcullis_telemetry::RequestTarget;
use portcullis_upstream::RequestProgress;

use crate::Worker;
use crate::choose::{Choice, Table};
use crate::route_timeout::RouteTimeout;
use crate::running::RunningSteps;

/// What a request holds while it lasts. When it is dropped before [`Flight::finish`], the client went away.
pub(crate) struct Flight {
    pub(crate) worker: Rc<Worker>,
    pub(crate) snapshot: Rc<Pinned>,
    /// The socket's table in that snapshot; `None` where the socket is being removed.
    pub(crate) table: Option<Table>,
    pub(crate) exchange: Box<Exchange>,
    pub(crate) choice: Choice,
    /// The chosen destination of the chosen rule.
    pub(crate) destination: Option<usize>,
    pub(crate) steps: RunningSteps,
    /// How much of the request body went upstream.
    pub(crate) progress: Option<Arc<RequestProgress>>,
    /// The route's timeout, once the request is on its way.
    pub(crate) timeout: Option<RouteTimeout>,
    finished: bool,
}

impl Flight {
    pub(crate) fn begin(worker: Rc<Worker>, snapshot: Rc<Pinned>, exchange: Box<Exchange>) -> Self {
        let key = SocketKey { port: exchange.connection.port, bind: exchange.connection.bind };
        Flight {
            table: snapshot.socket(key).cloned(),
            worker,
            snapshot,
            exchange,
            choice: Choice { listener: None, rule: None },
            destination: None,
            steps: RunningSteps::default(),
            progress: None,
            timeout: None,
            finished: false,
        }
    }

    /// Whether the record keeps its heads when they are sent on: for plugins, the log, or the metrics of gRPC.
    pub(crate) fn keeps_heads(&self) -> bool {
        self.worker.settings.access_log.is_some()
            || !self.steps.is_empty()
            || self.exchange.request.is_grpc()
    }

    /// Records the exchange: plugins' `on_log`, metrics, access log. Once only.
    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.exchange.timings.ended = Some(Instant::now());
        if let Some(progress) = &self.progress {
            self.exchange.bytes_received = progress.bytes();
            self.exchange.timings.request_ended = progress.ended_at();
        }
        self.steps.close(&mut self.exchange);
        let target = self.target();
        self.worker.record(target, &self.exchange);
    }

    /// The labels under which the exchange is counted.
    fn target(&self) -> &Arc<RequestTarget> {
        let rule = self.table.as_ref().and_then(|table| self.choice.rule(table));
        let Some(rule) = rule else { return &self.snapshot.unrouted };
        match self.destination.and_then(|index| rule.destinations.get(index)) {
            Some(destination) => &destination.target,
            None => &rule.target,
        }
    }
}

/// A client that goes away before its reply is complete leaves a record like any other.
impl Drop for Flight {
    fn drop(&mut self) {
        if !self.finished {
            self.exchange.flags.set(ResponseFlag::DownstreamConnectionTermination);
            if self.exchange.code_details.is_empty() {
                self.exchange.code_details = "downstream_remote_disconnect".into();
            }
            self.exchange.termination_details = "downstream_disconnect";
            self.finish();
        }
    }
}
