//! A request on its way out: the destination drawn, the head as the upstream gets it.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Request, Uri, Version};
use portcullis_message::Body;
use portcullis_snapshot::CompiledRule;
use portcullis_upstream::{Cluster, RequestBody, draw_below};

use crate::ProxyError;
use crate::flight::Flight;

/// What is sent, and where to.
pub(crate) struct Outbound {
    pub(crate) cluster: Arc<Cluster>,
    /// Taken when it is sent, and put back where it was provably not.
    pub(crate) request: Option<Request<RequestBody>>,
    /// The route's timeout.
    pub(crate) timeout: Option<Duration>,
}

impl Outbound {
    /// Draws one of the rule's destinations and applies the changes of both to the head.
    pub(crate) fn prepare(
        flight: &mut Flight,
        rule: &CompiledRule,
        body: Body,
    ) -> Result<Self, ProxyError> {
        let draw = draw_below(rule.total_weight);
        let (index, destination) = rule.destination(draw).ok_or(ProxyError::NoCluster)?;
        flight.destination = Some(index);
        flight.exchange.cluster = Some(destination.label.clone());
        let cluster = destination.cluster.clone().ok_or(ProxyError::NoCluster)?;
        let matched = flight.choice.matched();
        let exchange = &mut *flight.exchange;
        let original = rule
            .prepare_head(destination, &mut exchange.request, matched)
            .map_err(|_| ProxyError::ChangedHeadRefused("rewritten_path_refused"))?;
        if exchange.original_path.is_none() {
            exchange.original_path = original.map(|path| path.as_str().into());
        }
        let request = Some(upstream_request(flight, body));
        Ok(Outbound { cluster, request, timeout: rule.rule.timeout })
    }
}

/// The request as the upstream gets it. The record keeps its head where a plugin or the log will read it.
fn upstream_request(flight: &mut Flight, body: Body) -> Request<RequestBody> {
    let keep = flight.keeps_heads();
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
