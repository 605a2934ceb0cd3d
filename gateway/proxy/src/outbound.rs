//! A request on its way out: the destination drawn, the head as the upstream gets it.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use http_body::Body as _;
use portcullis_message::Body;
use portcullis_model::RequestPolicy;
use portcullis_snapshot::CompiledRule;
use portcullis_upstream::{Cluster, RequestBody, draw_below};

use crate::ProxyError;
use crate::flight::Flight;
use crate::terms::Terms;
use crate::upgrade::ask_upstream;

/// What is sent, and where to.
pub(crate) struct Outbound {
    pub(crate) cluster: Arc<Cluster>,
    /// Taken when it is sent, and put back where it was provably not.
    pub(crate) request: Option<Request<RequestBody>>,
    /// The route's timeout.
    pub(crate) timeout: Option<Duration>,
    /// What a 101 has to answer to a key of ours.
    pub(crate) accept: Option<Box<HeaderValue>>,
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
        let rules = flight.head_rules();
        let exchange = &mut *flight.exchange;
        let original = rule
            .prepare_head(destination, &mut exchange.request, matched, rules)
            .map_err(|_| ProxyError::ChangedHeadRefused("rewritten_path_refused"))?;
        if exchange.original_path.is_none() {
            exchange.original_path = original.map(|path| path.as_str().into());
        }
        let policy = hold_to_policy(flight, rule);
        let mut request = upstream_request(flight, body);
        limit_body(flight, &mut request, policy.max_body)?;
        let upgrade = flight.exchange.upgrade;
        let accept = upgrade.and_then(|upgrade| ask_upstream(&mut request, upgrade));
        Ok(Outbound { cluster, request: Some(request), timeout: rule.rule.timeout, accept })
    }
}

/// Refuses a body that says that it is too large for a rule that answers by itself. It is not read, so no other can be.
pub(crate) fn check_length(
    flight: &Flight,
    rule: &CompiledRule,
    body: &Body,
) -> Result<(), ProxyError> {
    let most = policy_for(flight, rule).max_body.unwrap_or(u64::MAX);
    if body.size_hint().lower() > most { Err(ProxyError::RequestTooLarge) } else { Ok(()) }
}

/// What its listener and its rule ask of the request.
fn policy_for(flight: &Flight, rule: &CompiledRule) -> RequestPolicy {
    let listener = flight.table.as_ref().and_then(|table| flight.choice.listener(table));
    let policy = listener.map_or_else(RequestPolicy::default, |each| each.settings.requests);
    policy.with(&rule.rule.overrides)
}

/// Has the request held to what its listener and its rule ask of it.
fn hold_to_policy(flight: &Flight, rule: &CompiledRule) -> RequestPolicy {
    let policy = policy_for(flight, rule);
    let streams = flight.exchange.request.is_grpc() || flight.exchange.upgrade.is_some();
    flight.progress.set_terms(if streams { Terms::of_stream(&policy) } else { Terms::of(&policy) });
    policy
}

/// Refuses a body that says that it is too large, and has any other break off where it becomes so.
fn limit_body(
    flight: &Flight,
    request: &mut Request<RequestBody>,
    most: Option<u64>,
) -> Result<(), ProxyError> {
    flight.progress.set_upload(flight.upload.clone());
    let Some(most) = most else { return Ok(()) };
    if request.body().size_hint().lower() > most {
        return Err(ProxyError::RequestTooLarge);
    }
    request.body_mut().limit(most);
    Ok(())
}

/// The request as the upstream gets it. The record keeps its head where a plugin or the log will read it.
fn upstream_request(flight: &mut Flight, body: Body) -> Request<RequestBody> {
    let keep = flight.keeps_heads();
    let head = &mut flight.exchange.request;
    let mut headers: HeaderMap =
        if keep { head.headers.clone() } else { std::mem::take(&mut head.headers) };
    headers.insert(HOST, head.authority.clone());
    let body = RequestBody::new(body);
    flight.upload = body.progress();
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from(head.path.clone());
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}
