//! Forwarding: send a request to its cluster, and try again only what was never sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Response;
use portcullis_exchange::Upstream;
use portcullis_upstream::{Endpoint, EndpointId, SendError, UpstreamBody, UpstreamFailure};
use smallvec::SmallVec;

use crate::ProxyError;
use crate::flight::Flight;
use crate::outbound::Outbound;
use crate::route_timeout::RouteTimeout;

/// The first attempt and two more, as Istio does where `retries` is unset.
const ATTEMPTS: usize = 3;

/// Sends a request to its cluster and returns the reply's head with its body streaming.
pub(crate) async fn forward(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    match outbound.timeout {
        None => send(flight, outbound).await,
        // Few routes have one, so it stays out of every request's future.
        Some(timeout) => Box::pin(send_within(timeout, flight, outbound)).await,
    }
}

/// As [`send`], under the route's timeout: from the last byte of the request to the last of the reply.
async fn send_within(
    timeout: Duration,
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let timeout = RouteTimeout::new(timeout, flight.upload.clone(), Instant::now());
    let result = {
        let mut sending = std::pin::pin!(send(flight, outbound));
        loop {
            let look = timeout.next_look(Instant::now());
            match tokio::time::timeout_at(look.into(), &mut sending).await {
                Ok(result) => break result,
                Err(_) if timeout.has_passed(Instant::now()) => {
                    break Err(ProxyError::UpstreamTimeout);
                }
                Err(_) => {}
            }
        }
    };
    flight.timeout = Some(timeout);
    result
}

async fn send(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let mut tried: SmallVec<[EndpointId; ATTEMPTS]> = SmallVec::new();
    let mut error = ProxyError::NoHealthyUpstream;
    while tried.len() < ATTEMPTS {
        let cluster = &outbound.cluster;
        // Another endpoint where there is one, else the same.
        let endpoint = cluster.pick_endpoint(&tried).or_else(|| cluster.pick_endpoint(&[]));
        let Some(endpoint) = endpoint else { break };
        let again = tried.contains(&endpoint.id);
        tried.push(endpoint.id);
        note_upstream(flight, &endpoint, None);
        let lease = match flight.worker.pools.checkout(cluster, &endpoint).await {
            Ok(lease) => lease,
            Err(failure) => {
                error = ProxyError::UpstreamConnection(failure.to_string());
                // An endpoint that takes no connection will not take one a moment later.
                if again {
                    break;
                }
                continue;
            }
        };
        note_upstream(flight, &endpoint, lease.local_address());
        flight.exchange.timings.upstream_sent = Some(Instant::now());
        let Some(request) = outbound.request.take() else { break };
        match lease.send(request).await {
            Ok(response) => return Ok(response),
            Err(SendError::Unsent { request, cause }) => {
                outbound.request = Some(request);
                error = error_for(flight, &cause);
            }
            Err(SendError::Failed { cause, .. }) => return Err(error_for(flight, &cause)),
        }
    }
    Err(error)
}

/// The last endpoint that was tried is the one that the record names, also where it took no connection.
fn note_upstream(flight: &mut Flight, endpoint: &Endpoint, local_address: Option<SocketAddr>) {
    flight.exchange.upstream = Some(Upstream { address: endpoint.address(), local_address });
}

fn error_for(flight: &Flight, failure: &UpstreamFailure) -> ProxyError {
    let too_large = flight.upload.as_ref().is_some_and(|upload| upload.is_too_large());
    match failure {
        UpstreamFailure::RequestBody if too_large => ProxyError::RequestTooLarge,
        UpstreamFailure::Protocol(_) => ProxyError::UpstreamProtocol(failure.to_string()),
        UpstreamFailure::RequestBody => ProxyError::RequestBodyBroken,
        _ => ProxyError::UpstreamTermination(failure.to_string()),
    }
}
