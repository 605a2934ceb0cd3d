//! One attempt to get a reply: an endpoint, a connection, the request, the reply's head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use portcullis_exchange::Upstream;
use portcullis_upstream::{
    Caller, ConnectError, Endpoint, Heard, Lease, Outcome, SendError, Spoken, UpstreamBody,
    UpstreamFailure,
};

use crate::ProxyError;
use crate::flight::Flight;
use crate::outbound::{Connect, Outbound};
use crate::retry::Fate;
use crate::route_timeout::{RouteTimeout, within};

/// An attempt without a reply.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What it means for another one.
    pub(crate) fate: Fate,
    /// What the client is told where there is no other.
    pub(crate) error: ProxyError,
}

/// Sends the request to an endpoint that was not tried yet, where there is one, and awaits the reply's head.
pub(crate) async fn attempt(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, Failed> {
    match outbound.per_try {
        None => send(flight, outbound).await,
        // Few routes have one, so it stays out of every request's future.
        Some(limit) => Box::pin(send_within(limit, flight, outbound)).await,
    }
}

/// As [`send`], under the time of one attempt.
async fn send_within(
    limit: Duration,
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, Failed> {
    let timeout = RouteTimeout::begin(limit, flight.upload.clone());
    if let Some(result) = within(&timeout, send(flight, outbound)).await {
        return result;
    }
    if outbound.request.is_some() {
        let error =
            ProxyError::UpstreamConnection("no connection in the time of an attempt".into());
        return Err(Failed { fate: Fate::Unsent, error });
    }
    flight.record_outcome(Outcome::Late);
    Err(Failed { fate: Fate::Late, error: ProxyError::AttemptTimeout })
}

async fn send(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, Failed> {
    let Some(endpoint) = outbound.pick() else {
        return Err(Failed { fate: Fate::Hopeless, error: ProxyError::NoHealthyUpstream });
    };
    outbound.tried.push(endpoint.id);
    flight.exchange.attempts += 1;
    // The last endpoint that was tried is the one that the record names, also where it took no connection.
    flight.exchange.upstream = Some(Upstream { address: endpoint.address(), local_address: None });
    let lease = match connect(flight, outbound, &endpoint).await {
        Ok(lease) => lease,
        Err(error) => {
            let upstream = Upstream { address: error.address, local_address: None };
            flight.exchange.upstream = Some(upstream);
            return Err(not_connected(outbound, &endpoint, &error));
        }
    };
    let now = Instant::now();
    if outbound.tried.len() == 1 {
        outbound.cluster.note_request(now);
    }
    flight.exchange.upstream =
        Some(Upstream { address: lease.peer(), local_address: lease.local_address() });
    flight.exchange.upstream_tls = lease.tls().cloned();
    flight.exchange.timings.upstream_sent = Some(now);
    let Some(request) = outbound.request.take() else {
        return Err(Failed { fate: Fate::Hopeless, error: ProxyError::NoHealthyUpstream });
    };
    let reused = lease.reused();
    // Before anything can be late.
    flight.endpoint = Some(endpoint);
    let progress = flight.progress.clone();
    match lease.send_telling(request, |interim| progress.pass_on(interim)).await {
        Ok(response) => {
            flight.record_outcome(Outcome::Answered(response.status()));
            Ok(response)
        }
        Err(SendError::Unsent { request, cause }) => {
            outbound.request = Some(request);
            // What else lies idle may be as old.
            outbound.connection = Connect::Fresh;
            Err(Failed {
                fate: Fate::Unsent,
                error: ProxyError::UpstreamConnection(cause.to_string()),
            })
        }
        Err(SendError::Failed { head, heard, cause }) => {
            outbound.kept.keep_head(head);
            if let Some(outcome) = Outcome::of(&cause) {
                flight.record_outcome(outcome);
            }
            let stale = reused && heard == Heard::Nothing;
            if stale {
                outbound.connection = Connect::Fresh;
            }
            Err(broken(flight, &cause, if stale { Fate::Stale } else { Fate::Broken }))
        }
    }
}

async fn connect(
    flight: &Flight,
    outbound: &Outbound,
    endpoint: &Arc<Endpoint>,
) -> Result<Lease, ConnectError> {
    let (pools, cluster, exchange) = (&flight.worker.pools, &outbound.cluster, &flight.exchange);
    let spoken = outbound.request.as_ref().map(|request| Spoken::for_request(cluster, request));
    let spoken = spoken.unwrap_or(Spoken::Http1);
    let caller = Caller {
        authority: Some(exchange.request.authority_str()),
        connection: Some((exchange.client_address, exchange.connection.local)),
    };
    match outbound.connection {
        Connect::Any => pools.checkout_for(cluster, endpoint, spoken, caller).await,
        Connect::Fresh => Box::pin(pools.checkout_fresh(cluster, endpoint, spoken, caller)).await,
    }
}

fn not_connected(outbound: &Outbound, endpoint: &Endpoint, error: &ConnectError) -> Failed {
    if let Some(outcome) = Outcome::of(&error.cause) {
        outbound.cluster.record(endpoint, outcome);
    }
    match &error.cause {
        UpstreamFailure::Overflow(overflow) => {
            let error = ProxyError::UpstreamOverflow(overflow.to_string());
            Failed { fate: Fate::Hopeless, error }
        }
        // It is the cluster that lacks what TLS takes.
        UpstreamFailure::NoTls(_) => Failed {
            fate: Fate::Hopeless,
            error: ProxyError::UpstreamConnection(error.to_string()),
        },
        _ => Failed {
            fate: Fate::Unreached,
            error: ProxyError::UpstreamConnection(error.to_string()),
        },
    }
}

/// After the request was sent, in part at least. `fate` is that of one whose connection broke.
fn broken(flight: &Flight, cause: &UpstreamFailure, fate: Fate) -> Failed {
    let too_large = flight.upload.as_ref().is_some_and(|upload| upload.is_too_large());
    let (fate, error) = match cause {
        UpstreamFailure::RequestBody if too_large => (Fate::Hopeless, ProxyError::RequestTooLarge),
        UpstreamFailure::RequestBody => (Fate::Hopeless, ProxyError::RequestBodyBroken),
        UpstreamFailure::Protocol(_) => {
            (Fate::Malformed, ProxyError::UpstreamProtocol(cause.to_string()))
        }
        // In TLS 1.3 an endpoint refuses our certificate only after its part of the handshake.
        UpstreamFailure::Tls(_) => (fate, ProxyError::UpstreamConnection(cause.to_string())),
        _ => (fate, ProxyError::UpstreamTermination(cause.to_string())),
    };
    Failed { fate, error }
}
