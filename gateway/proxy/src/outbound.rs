//! A request on its way out: the destination drawn, the head as the upstream gets it.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use portcullis_exchange::Protocol;
use portcullis_message::Body;
use portcullis_model::{PreviousEndpoints, RemoteLocalities, RequestPolicy};
use portcullis_snapshot::{CompiledDestination, CompiledRule};
use portcullis_upstream::{Cluster, Endpoint, EndpointId, Pick, RequestBody, draw_below};
use smallvec::SmallVec;

use crate::ProxyError;
use crate::affinity::Affinity;
use crate::flight::Flight;
use crate::kept::{Kept, count_attempt};
use crate::mirror::send_copies;
use crate::retry::{Safety, UnsafeRepeats};
use crate::terms::Terms;
use crate::upgrade::ask_upstream;

/// So many attempts stay near before others go to other localities, where that is asked for; as in Istio.
const BEFORE_REMOTE: usize = 2;

/// What is sent, and where to.
pub(crate) struct Outbound {
    pub(crate) cluster: Arc<Cluster>,
    /// Taken when it is sent, and put back where it was provably not.
    pub(crate) request: Option<Request<RequestBody>>,
    /// The route's timeout.
    pub(crate) timeout: Option<Duration>,
    /// How long one attempt may take to the reply's head.
    pub(crate) per_try: Option<Duration>,
    /// What is needed to send it once more.
    pub(crate) kept: Kept,
    /// The endpoints of the attempts so far, in order.
    pub(crate) tried: SmallVec<[EndpointId; 3]>,
    /// Whether endpoints that were tried are avoided.
    previous: PreviousEndpoints,
    /// Whether they go to other localities in the end.
    remote: RemoteLocalities,
    pub(crate) connection: Connect,
    /// Whether an endpoint that took no connection was asked again.
    pub(crate) asked_twice: bool,
    /// What a 101 has to answer to a key of ours.
    pub(crate) accept: Option<Box<HeaderValue>>,
    /// Where the cluster hashes a key of the request.
    affinity: Option<Box<Affinity>>,
}

impl Outbound {
    /// Applies the changes of a rule and of its destination that was drawn to the head.
    pub(crate) fn prepare(
        flight: &mut Flight,
        (rule, destination): (&CompiledRule, &CompiledDestination),
        body: Body,
    ) -> Result<Self, ProxyError> {
        let missing = || ProxyError::NoCluster(destination.missing_status());
        let cluster = destination.cluster.clone().ok_or_else(missing)?;
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
        let key = cluster.hash_key();
        let affinity =
            key.map(|key| Box::new(Affinity::of(key, &flight.exchange, request.headers())));
        let retries = &rule.rule.retries;
        let repeats = flight.worker.settings.unsafe_repeats;
        let kept = Kept::of(&mut request, retries, repeats, policy.max_body);
        if !rule.mirrors.is_empty() {
            send_copies(flight, rule, &mut request, &kept);
        }
        Ok(Outbound {
            cluster,
            request: Some(request),
            timeout: rule.rule.timeout,
            per_try: retries.per_try_timeout,
            kept,
            tried: SmallVec::new(),
            previous: retries.previous,
            remote: retries.remote_localities,
            connection: Connect::Any,
            asked_twice: false,
            accept,
            affinity,
        })
    }

    /// The endpoint for the next attempt: another one where there is one, else the same.
    pub(crate) fn pick(&self) -> Option<Arc<Endpoint>> {
        let avoided = self.avoided();
        let hash = self.affinity.as_ref().and_then(|affinity| affinity.hash);
        if self.remote == RemoteLocalities::Allowed
            && self.tried.len() >= BEFORE_REMOTE
            && let Some(elsewhere) = self.cluster.pick_elsewhere(&Pick { hash, tried: &self.tried })
        {
            return Some(elsewhere);
        }
        let another = self.cluster.pick(&Pick { hash, tried: avoided });
        if another.is_some() || avoided.is_empty() {
            return another;
        }
        self.cluster.pick(&Pick { hash, tried: &[] })
    }

    /// Has a client that had none get the cookie by which it comes back to the same endpoint.
    pub(crate) fn give_cookie(&mut self, response: &mut HeaderMap) {
        if let Some(affinity) = &mut self.affinity {
            affinity.give(response);
        }
    }

    /// Whether the next attempt can go to an endpoint that was not tried.
    pub(crate) fn has_untried(&self) -> bool {
        self.cluster.pick_endpoint(&self.tried).is_some()
    }

    fn avoided(&self) -> &[EndpointId] {
        match self.previous {
            PreviousEndpoints::Avoided => &self.tried,
            PreviousEndpoints::DrawnAgain => &[],
        }
    }

    /// Whether it may be executed twice, after an attempt.
    pub(crate) fn safety(&self, repeats: UnsafeRepeats) -> Safety {
        match (&self.request, self.kept.head()) {
            (Some(request), _) => Safety::of(request.method(), request.headers(), repeats),
            (None, Some(head)) => Safety::of(&head.method, &head.headers, repeats),
            (None, None) => Safety::Unsafe,
        }
    }

    /// Has the request there for another attempt.
    pub(crate) fn prepare_again(&mut self) {
        if self.request.is_none() {
            self.request = self.kept.again();
        }
        if let Some(request) = &mut self.request {
            count_attempt(request, self.tried.len() as u32 + 1);
        }
    }
}

/// Draws one of a rule's destinations.
pub(crate) fn draw_destination<'r>(
    flight: &mut Flight,
    rule: &'r CompiledRule,
) -> Result<&'r CompiledDestination, ProxyError> {
    let draw = draw_below(rule.total_weight);
    let Some((index, destination)) = rule.destination(draw) else {
        // Nothing has a weight.
        let first = rule.destinations.first().map(CompiledDestination::missing_status);
        return Err(ProxyError::NoCluster(first.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)));
    };
    flight.destination = Some(index);
    flight.exchange.cluster = Some(destination.label.clone());
    Ok(destination)
}

/// On which connection an attempt goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Connect {
    /// An idle one where there is one.
    #[default]
    Any,
    /// A new one: the last that was idle turned out to be closed.
    Fresh,
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

/// Has a request that plugins hold kept to what the rule that is chosen now asks of it.
pub(crate) fn hold_to_chosen_policy(flight: &Flight) {
    let Some(table) = &flight.table else { return };
    if let Some(rule) = flight.choice.rule(table) {
        hold_to_policy(flight, rule);
    }
}

/// How large the body may be by the rule that is chosen now, in bytes.
pub(crate) fn most_body(flight: &Flight) -> u64 {
    let rule = flight.table.as_ref().and_then(|table| flight.choice.rule(table));
    rule.and_then(|rule| policy_for(flight, rule).max_body).unwrap_or(u64::MAX)
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
    // What its client speaks, for a cluster that is spoken to by the same.
    *request.version_mut() = match head.protocol {
        Protocol::Http2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    *request.headers_mut() = headers;
    request
}
