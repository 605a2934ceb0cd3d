//! Forwarding: draw a destination, prepare the head, send it, and try again only what was never sent.

use std::time::{Duration, Instant};

use http::header::HOST;
use http::{HeaderMap, Request, Response, Uri, Version};
use portcullis_exchange::Upstream;
use portcullis_message::Body;
use portcullis_upstream::{
    Cluster, Endpoint, EndpointId, Lease, RequestBody, SendError, UpstreamBody, UpstreamFailure,
};
use smallvec::SmallVec;

use crate::ProxyError;
use crate::flight::Flight;

/// The first attempt and two more, as Istio does where `retries` is unset.
const ATTEMPTS: usize = 3;

/// Sends the request to the chosen rule's upstream and returns the reply's head with its body streaming.
pub(crate) async fn forward(
    flight: &mut Flight,
    body: Body,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    let rule = flight.choice.rule(&table).ok_or(ProxyError::NoRoute)?;
    let draw = flight.worker.random.below(rule.total_weight);
    let (index, destination) = rule.destination(draw).ok_or(ProxyError::NoCluster)?;
    flight.destination = Some(index);
    flight.exchange.cluster = Some(destination.label.clone());
    let cluster = destination.cluster.as_ref().ok_or(ProxyError::NoCluster)?;
    let original =
        rule.prepare_head(destination, &mut flight.exchange.request, flight.choice.matched());
    flight.exchange.original_path = original.map(|path| path.as_str().into());
    let request = upstream_request(flight, body);
    match rule.rule.timeout {
        None => send(flight, cluster, request).await,
        Some(timeout) => send_within(timeout, flight, cluster, request).await,
    }
}

/// The request as the upstream gets it. The record keeps its head where a plugin or the log will read it.
fn upstream_request(flight: &mut Flight, body: Body) -> Request<RequestBody> {
    let keep = flight.worker.settings.access_log.is_some() || !flight.steps.is_empty();
    let head = &mut flight.exchange.request;
    let mut headers: HeaderMap =
        if keep { head.headers.clone() } else { std::mem::take(&mut head.headers) };
    headers.insert(HOST, head.authority.clone());
    let body = RequestBody::new(body);
    flight.progress = body.progress();
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from(head.path.clone());
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}

/// As [`send`], under the route's timeout: from the last byte of the request to the last of the reply.
async fn send_within(
    timeout: Duration,
    flight: &mut Flight,
    cluster: &Cluster,
    request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let progress = flight.progress.clone();
    let mut deadline = Instant::now() + timeout;
    let result = {
        let mut sending = std::pin::pin!(send(flight, cluster, request));
        loop {
            match tokio::time::timeout_at(deadline.into(), &mut sending).await {
                Ok(result) => break result,
                // The clock starts when the request is complete; until then it is only looked at.
                Err(_) => match progress.as_ref().map(|progress| progress.ended_at()) {
                    Some(None) => deadline = Instant::now() + timeout,
                    Some(Some(ended)) if ended + timeout > Instant::now() => {
                        deadline = ended + timeout
                    }
                    _ => break Err(ProxyError::UpstreamTimeout),
                },
            }
        }
    };
    flight.deadline = Some(deadline);
    result
}

async fn send(
    flight: &mut Flight,
    cluster: &Cluster,
    mut request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let mut tried: SmallVec<[EndpointId; ATTEMPTS]> = SmallVec::new();
    let mut error = ProxyError::NoHealthyUpstream;
    while tried.len() < ATTEMPTS {
        // Another endpoint where there is one, else the same.
        let Some(endpoint) = cluster.pick_endpoint(&tried).or_else(|| cluster.pick_endpoint(&[]))
        else {
            break;
        };
        let again = tried.contains(&endpoint.id);
        tried.push(endpoint.id);
        let lease = match flight.worker.pools.checkout(cluster, &endpoint).await {
            Ok(lease) => lease,
            // An endpoint that takes no connection will not take one a moment later.
            Err(failure) if again => {
                return Err(ProxyError::UpstreamConnection(failure.to_string()));
            }
            Err(failure) => {
                error = ProxyError::UpstreamConnection(failure.to_string());
                continue;
            }
        };
        note_upstream(flight, &endpoint, &lease);
        match lease.send(request).await {
            Ok(response) => return Ok(response),
            Err(SendError::Unsent { request: unsent, cause }) => {
                request = unsent;
                error = error_for(&cause);
            }
            Err(SendError::Failed { cause }) => return Err(error_for(&cause)),
        }
    }
    Err(error)
}

fn note_upstream(flight: &mut Flight, endpoint: &Endpoint, lease: &Lease) {
    flight.exchange.upstream =
        Some(Upstream { address: endpoint.address, local_address: lease.local_address() });
    flight.exchange.timings.upstream_sent = Some(Instant::now());
}

fn error_for(failure: &UpstreamFailure) -> ProxyError {
    match failure {
        UpstreamFailure::Protocol(_) => ProxyError::UpstreamProtocol(failure.to_string()),
        UpstreamFailure::RequestBody => ProxyError::RequestBodyBroken,
        _ => ProxyError::UpstreamTermination(failure.to_string()),
    }
}
