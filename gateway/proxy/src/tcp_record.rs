//! The record of a connection whose bytes are passed on: how it ended, and who is told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use portcullis_exchange::{Connection, Exchange, ResponseFlag};
use portcullis_snapshot::SocketKey;
use portcullis_telemetry::{ConnectionEvent, LogRule, RequestTarget};
use portcullis_wasm::ClosedBy;

use crate::both_ways::Cause;
use crate::sifted_ways::Sieve;
use crate::tcp_filters::{Ends, TcpFilters};
use crate::tcp_step::Stopped;
use crate::{DrainPhase, Worker};

/// One connection's record. Dropped before it was ended, it says that the connection was cut off.
pub(crate) struct TcpRecord {
    pub(crate) worker: Rc<Worker>,
    pub(crate) exchange: Box<Exchange>,
    target: Option<Arc<RequestTarget>>,
    /// Which connections of its listener are logged; `None` where all are.
    pub(crate) log_rule: Option<Arc<LogRule>>,
    /// Bytes that the metrics know of, from the client and to it.
    reported: (u64, u64),
    ended: bool,
    /// The plugins that its bytes pass, where there are any.
    pub(crate) filters: Option<Box<TcpFilters>>,
    /// Who ended it, as they are told.
    ends: Ends,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Both sides had said everything.
    Both,
    /// It should have begun with a ClientHello.
    NoHello,
    /// No rule takes it.
    NoRoute,
    /// A policy covers it that cannot be used.
    Refused,
    /// A policy refuses it, for this reason.
    Denied(String),
    /// The rule names a service that does not exist.
    NoCluster,
    /// The cluster has no endpoint to connect to.
    NoHealthyUpstream,
    /// The cluster has as many connections as it may.
    Overflow(String),
    /// No endpoint took a connection.
    ConnectFailed(String),
    /// The client vanished.
    ClientGone,
    /// The upstream's connection broke.
    UpstreamFailed(String),
    /// Nothing passed for too long.
    Idle,
    /// It has lasted as long as it may.
    TooOld,
    /// The TLS policy was tightened after the client's handshake.
    Outdated,
    /// A plugin that it passes failed, or broke it off.
    Plugin(Stopped),
}

impl TcpRecord {
    /// A connection that was just accepted.
    pub(crate) fn begin(
        worker: Rc<Worker>,
        connection: Arc<Connection>,
        passed_name: Option<Arc<str>>,
    ) -> Self {
        let mut exchange = Box::new(Exchange::of_connection(connection));
        exchange.passed_name = passed_name;
        TcpRecord {
            worker,
            exchange,
            target: None,
            log_rule: None,
            reported: (0, 0),
            ended: false,
            filters: None,
            ends: Ending::Idle.ends(),
        }
    }

    /// The server name that chooses its rule.
    pub(crate) fn server_name(&self) -> Option<Arc<str>> {
        let settled = self.exchange.connection.tls.as_ref().and_then(|tls| tls.server_name.clone());
        self.exchange.passed_name.clone().or(settled)
    }

    /// The socket that it came in on.
    pub(crate) fn socket(&self) -> SocketKey {
        SocketKey { port: self.exchange.connection.port, bind: self.exchange.connection.bind }
    }

    /// Counts it as opened, unless it is.
    pub(crate) fn open(&mut self, target: &Arc<RequestTarget>) {
        if self.target.is_none() {
            self.worker.count_connection(target, ConnectionEvent::Opened);
            self.target = Some(target.clone());
        }
    }

    /// Counts what has passed since the last time; whether anything has.
    pub(crate) fn report(&mut self) -> bool {
        let now = (self.exchange.bytes_received, self.exchange.bytes_sent);
        let received = now.0.saturating_sub(self.reported.0);
        let sent = now.1.saturating_sub(self.reported.1);
        self.reported = now;
        let passed = received + sent > 0;
        if let Some(target) = self.target.as_ref().filter(|_| passed) {
            self.worker.count_connection(target, ConnectionEvent::Passed { received, sent });
        }
        passed
    }

    /// What the plugins see of the connection, with what they see beside it.
    pub(crate) fn sieve(&mut self) -> Option<Sieve<'_>> {
        let (worker, exchange) = (&*self.worker, &mut self.exchange);
        self.filters.as_deref_mut().map(|filters| Sieve { worker, filters, exchange })
    }

    /// Leaves the record with a plugin that holds something, until it is asked for.
    pub(crate) fn park(&mut self) {
        if let Some(filters) = &mut self.filters {
            filters.park(&mut self.exchange);
        }
    }

    /// Takes it back.
    pub(crate) fn bring_back(&mut self) {
        if let Some(filters) = &mut self.filters {
            filters.bring_back(&mut self.exchange);
        }
    }

    /// Closes the record.
    pub(crate) fn end(mut self, ending: Ending) {
        self.ends = ending.ends();
        if let Ending::Plugin(Stopped::Failed(plugin) | Stopped::Closed(plugin)) = &ending {
            tracing::debug!(plugin, connection = self.exchange.connection.id, "ends a connection");
        }
        if let Some((flag, details)) = ending.flag() {
            self.exchange.flags.set(flag);
            self.exchange.code_details = details.into();
        }
        if let Ending::Denied(details) = &ending {
            self.exchange.code_details = details.clone().into();
        }
        if let Ending::Overflow(reason)
        | Ending::ConnectFailed(reason)
        | Ending::UpstreamFailed(reason) = ending
        {
            self.exchange.transport_failure = reason;
        }
        self.ended = true;
    }
}

impl Drop for TcpRecord {
    fn drop(&mut self) {
        self.bring_back();
        if !self.ended {
            self.exchange.flags.set(ResponseFlag::DurationTimeout);
            if let DrainPhase::Cutting(reason) = self.worker.settings.drain.phase() {
                self.exchange.termination_details = reason.details();
            }
        }
        self.exchange.timings.ended = Some(Instant::now());
        self.report();
        if let Some(mut filters) = self.filters.take() {
            filters.end(&mut self.exchange, self.ends);
        }
        if let Some(target) = &self.target {
            let closed = ConnectionEvent::Closed(self.exchange.flags);
            self.worker.count_connection(target, closed);
        }
        self.worker.log(&self.exchange, self.log_rule.as_deref());
    }
}

impl Ending {
    /// Whether either side must be able to tell it from a connection that came to its end.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Ending::Both)
    }

    fn ends(&self) -> Ends {
        let peer_if = |left: bool| if left { ClosedBy::Peer } else { ClosedBy::Us };
        Ends {
            downstream: peer_if(matches!(self, Ending::Both | Ending::ClientGone)),
            upstream: peer_if(matches!(self, Ending::Both | Ending::UpstreamFailed(_))),
        }
    }

    fn flag(&self) -> Option<(ResponseFlag, &'static str)> {
        use ResponseFlag as Flag;
        Some(match self {
            Ending::Both => return None,
            Ending::NoHello => (Flag::DownstreamProtocolError, "not_tls"),
            Ending::NoRoute => (Flag::NoRoute, "route_not_found"),
            Ending::Refused => (Flag::UnauthorizedExternalService, "policy_broken"),
            Ending::Denied(_) => (Flag::UnauthorizedExternalService, "rbac_access_denied"),
            Ending::NoCluster => (Flag::NoCluster, "cluster_not_found"),
            Ending::NoHealthyUpstream => (Flag::NoHealthyUpstream, "no_healthy_upstream"),
            Ending::Overflow(_) => (Flag::UpstreamOverflow, "upstream_overflow"),
            Ending::ConnectFailed(_) => (Flag::UpstreamConnectionFailure, "connection_failure"),
            Ending::ClientGone => (Flag::DownstreamConnectionTermination, "downstream_reset"),
            Ending::UpstreamFailed(_) => (Flag::UpstreamConnectionTermination, "upstream_reset"),
            Ending::Idle => (Flag::StreamIdleTimeout, "tcp_idle_timeout"),
            Ending::TooOld => (Flag::DurationTimeout, "max_connection_duration"),
            Ending::Outdated => (Flag::LocalReset, "tls_policy_tightened"),
            Ending::Plugin(Stopped::Failed(_)) => (Flag::LocalReset, "wasm_fail_stream"),
            Ending::Plugin(Stopped::Closed(_)) => (Flag::LocalReset, "wasm_close_stream"),
        })
    }
}

impl From<Cause> for Ending {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::BothEnded => Ending::Both,
            Cause::ClientGone => Ending::ClientGone,
            Cause::UpstreamFailed(error) => Ending::UpstreamFailed(error.kind().to_string()),
            Cause::Idle => Ending::Idle,
            Cause::TooOld => Ending::TooOld,
            Cause::Outdated => Ending::Outdated,
            Cause::Plugin(stopped) => Ending::Plugin(stopped),
        }
    }
}
