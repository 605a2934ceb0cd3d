//! Explaining what a snapshot does with a request, by the code that serves it.

use std::sync::Arc;

use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, Version};
use portcullis_exchange::{Protocol, RequestHead};
use portcullis_filters::MatchedPath;
use portcullis_message::{
    HeadError, HeadRules, Health, HealthPath, canonical_head, normalise_host,
};
use portcullis_model::Action;
use portcullis_routing::{ConsideredRule as Considered, Outcome, RouteQuery};
use portcullis_upstream::Cluster;
use serde::Serialize;

use crate::explain_plugins::{ExplainedPlugin, explain_chain, refuses_all};
use crate::{
    CompiledRule, CompiledTcpDestination, Handling, Snapshot, SocketKey, SocketTable, TcpTable,
};

/// The request to explain.
#[derive(Clone, Debug)]
pub struct RequestToExplain {
    /// Its method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The port of the resources, not of the socket.
    pub port: u16,
    /// Host, and port where the URL names one.
    pub authority: HeaderValue,
    /// Path and query.
    pub path: PathAndQuery,
    /// The other header fields.
    pub headers: HeaderMap,
}

/// What becomes of a request, and why. The field names are those of `explain --output json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// `forward`, `redirect`, `direct_response`, `refused` or `not_found`.
    pub outcome: &'static str,
    /// Why it is refused: the rule's name as in the access log, and what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Why no rule is asked at all: `health_path`, a reserved path that the gateway itself answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<&'static str>,
    /// The status that the gateway itself gives; `None` where the upstream decides.
    pub status: Option<u16>,
    /// The listener as `Gateway/ns/name/server`.
    pub listener: Option<String>,
    /// The host pattern of the routes that were considered.
    pub host: Option<String>,
    /// The rule that takes the request.
    pub route: Option<String>,
    /// Where that rule is written.
    pub source: Option<Source>,
    /// Every rule looked at, in order.
    pub considered: Vec<ConsideredRule>,
    /// The native filters that act on it.
    pub filters: Vec<String>,
    /// The plugins that run on it, in order.
    pub plugins: Vec<String>,
    /// The same with phase, priority and why each runs.
    pub plugin_chain: Vec<ExplainedPlugin>,
    /// Where it may go.
    pub clusters: Vec<ExplainedCluster>,
    /// What the upstream gets, apart from what plugins change; of the first destination.
    pub upstream_request: Option<UpstreamRequest>,
}

/// A place in a file.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// A rule that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct ConsideredRule {
    /// The rule.
    pub route: String,
    /// Whether it took the request.
    pub matched: bool,
    /// Why, or why not.
    pub reason: String,
    /// Where it is written.
    pub source: Source,
}

/// A destination with its endpoints.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedCluster {
    /// The cluster's name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// Its endpoints; none where the cluster is missing.
    pub endpoints: Vec<ExplainedEndpoint>,
}

/// An endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedEndpoint {
    /// Its address.
    pub address: String,
    /// Whether it takes requests: `healthy`, or why not, as far as manifests tell: `weight 0`, `draining`,
    /// `not ready`, `standby` (others are nearer, or have its share); `dns` for a name, which is looked up when the
    /// gateway runs.
    pub state: String,
}

/// The head that the upstream gets.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamRequest {
    /// The method.
    pub method: String,
    /// The authority.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// The other fields.
    pub headers: Vec<(String, String)>,
}

/// Explains one request, as if it came by HTTP/1.1.
pub fn explain(snapshot: &Snapshot, request: &RequestToExplain) -> Explanation {
    let table = socket_for(snapshot, request.port);
    match canonical(request, table) {
        Ok(request) => explain_canonical(snapshot, table, &request),
        Err(error) => {
            let mut explanation = Explanation::default();
            refuse(error, &mut explanation);
            explanation
        }
    }
}

/// The request in its canonical form, by the function that admits those of clients.
fn canonical(
    request: &RequestToExplain,
    table: Option<&Arc<SocketTable>>,
) -> Result<RequestToExplain, HeadError> {
    let rules = |authority: &[u8]| {
        table.map_or_else(HeadRules::default, |table| table.head_rules(authority))
    };
    let mut canonical = request.clone();
    canonical.headers.insert(HOST, request.authority.clone());
    let uri = Uri::from(request.path.clone());
    let head =
        canonical_head(&request.method, uri, Version::HTTP_11, &mut canonical.headers, rules);
    canonical.path = head.path;
    head.refusal.map_or(Ok(canonical), Err)
}

fn refuse(error: HeadError, explanation: &mut Explanation) {
    explanation.outcome = "refused";
    explanation.status = Some(error.status().as_u16());
    explanation.refusal = Some(format!("{}: {error}", error.code()));
}

fn explain_canonical(
    snapshot: &Snapshot,
    table: Option<&Arc<SocketTable>>,
    request: &RequestToExplain,
) -> Explanation {
    let Some(table) = table else { return not_found() };
    let host = normalise_host(request.authority.to_str().unwrap_or(""));
    table
        .tcp
        .as_ref()
        .and_then(|tcp| passed_on(table, tcp, &host))
        .or_else(|| health(request))
        .unwrap_or_else(|| explain_routes(snapshot, table, &host, request))
}

fn not_found() -> Explanation {
    Explanation { outcome: "not_found", status: Some(404), ..Explanation::default() }
}

fn explain_routes(
    snapshot: &Snapshot,
    table: &SocketTable,
    host: &str,
    request: &RequestToExplain,
) -> Explanation {
    let query = RouteQuery {
        host,
        scheme: request.scheme,
        method: &request.method,
        path: request.path.path(),
        query: request.path.query(),
        headers: &request.headers,
        claims: None,
    };
    let consideration = table.routes.consider(&query);
    let mut explanation = Explanation {
        host: consideration.virtual_host.as_ref().map(ToString::to_string),
        considered: consideration.rules.iter().filter_map(|rule| considered(table, rule)).collect(),
        ..not_found()
    };
    let Some(listener) = consideration.listener.and_then(|index| table.listeners.get(index)) else {
        return explanation;
    };
    let settings = &listener.settings;
    explanation.listener = Some(format!("Gateway/{}/{}", settings.gateway, settings.server));
    if listener.settings.https_redirect && request.scheme == "http" {
        explanation.outcome = "redirect";
        explanation.status = Some(301);
        explanation.filters.push("https_redirect".to_owned());
        return explanation;
    }
    let chosen = consideration
        .route
        .and_then(|route| Some((table.rules.get(route.rule_index)?, route.matched)));
    if let Some((rule, matched)) = chosen {
        explain_rule(rule, (matched, listener.head_rules()), request, &mut explanation);
    }
    let chain = table.chain(listener, chosen.as_ref().map(|(rule, _)| *rule));
    let rule = chosen.as_ref().map(|(rule, _)| &*rule.rule.id);
    explanation.plugins = chain.iter().map(|step| step.id.to_string()).collect();
    explanation.plugin_chain = explain_chain(chain, listener, rule, snapshot);
    if let Some(step) = refuses_all(chain, snapshot) {
        explanation.outcome = "refused";
        explanation.status = Some(503);
        explanation.refusal = Some(format!("wasm_fail_stream: {} cannot run", step.id));
    }
    explanation
}

/// What asks after the gateway's own health, which is answered before any rule; gRPC is taken to come over HTTP/2.
fn health(request: &RequestToExplain) -> Option<Explanation> {
    let path = HealthPath::of(request.path.path())?;
    if path.is_grpc() && !head_of(request).is_grpc() {
        return None;
    }
    let status = path.reply(&request.method, Health::Serving).status();
    Some(Explanation {
        outcome: "direct_response",
        reserved: Some("health_path"),
        status: Some(status.as_u16()),
        ..Explanation::default()
    })
}

fn head_of(request: &RequestToExplain) -> RequestHead {
    RequestHead {
        method: request.method.clone(),
        scheme: request.scheme,
        authority: request.authority.clone(),
        path: request.path.clone(),
        protocol: Protocol::Http11,
        headers: request.headers.clone(),
    }
}

/// What becomes of a connection whose client asks for this server, where its bytes are passed on.
fn passed_on(table: &SocketTable, tcp: &TcpTable, host: &str) -> Option<Explanation> {
    let route = tcp.find(Some(host)).filter(|route| route.handling != Handling::Http)?;
    let mut explanation = Explanation { outcome: "not_found", ..Explanation::default() };
    let listener = table.listeners.get(route.listener).map(|listener| &listener.settings);
    explanation.listener =
        listener.map(|listener| format!("Gateway/{}/{}", listener.gateway, listener.server));
    if let Some(rule) = tcp.rule(route) {
        explanation.outcome = "forward";
        explanation.route = Some(rule.rule.id.to_string());
        explanation.source = Some(source(&rule.rule.origin));
        let cluster = |destination: &CompiledTcpDestination| ExplainedCluster {
            name: destination.label.to_string(),
            weight: destination.weight,
            endpoints: destination.cluster.as_deref().map(endpoints).unwrap_or_default(),
        };
        explanation.clusters = rule.destinations.iter().map(cluster).collect();
    }
    if let Some(policy) = tcp.refusal(route) {
        explanation.outcome = "refused";
        explanation.refusal = Some(format!("policy_not_served: {policy}"));
    }
    Some(explanation)
}

fn considered(table: &SocketTable, rule: &Considered) -> Option<ConsideredRule> {
    let compiled = table.rules.get(rule.rule_index)?;
    let (matched, reason) = match &rule.outcome {
        Outcome::Matched => (true, "every condition holds".to_owned()),
        Outcome::Lost(why) => (false, why.clone()),
    };
    Some(ConsideredRule {
        route: compiled.rule.id.to_string(),
        matched,
        reason,
        source: source(&compiled.rule.origin),
    })
}

fn socket_for(snapshot: &Snapshot, port: u16) -> Option<&Arc<SocketTable>> {
    let any = SocketKey { port, bind: None };
    snapshot.socket(any).or_else(|| {
        snapshot.sockets.iter().find(|(key, _)| key.port == port).map(|(_, table)| table)
    })
}

fn explain_rule(
    rule: &CompiledRule,
    matched: (MatchedPath, HeadRules),
    request: &RequestToExplain,
    explanation: &mut Explanation,
) {
    explanation.route = Some(rule.rule.id.to_string());
    explanation.source = Some(source(&rule.rule.origin));
    explanation.filters.extend(filters(rule).into_iter().map(str::to_owned));
    match &rule.rule.action {
        Action::Redirect(redirect) => {
            explanation.outcome = "redirect";
            explanation.status = Some(redirect.status.as_u16());
        }
        Action::DirectResponse(direct) => {
            explanation.outcome = "direct_response";
            explanation.status = Some(direct.status.as_u16());
        }
        Action::Forward { .. } => explain_forward(rule, matched, request, explanation),
    }
}

fn explain_forward(
    rule: &CompiledRule,
    (matched, rules): (MatchedPath, HeadRules),
    request: &RequestToExplain,
    explanation: &mut Explanation,
) {
    explanation.outcome = "forward";
    explanation.clusters = rule
        .destinations
        .iter()
        .map(|destination| ExplainedCluster {
            name: destination.label.to_string(),
            weight: destination.settings.weight,
            endpoints: destination.cluster.as_deref().map(endpoints).unwrap_or_default(),
        })
        .collect();
    explanation.status = if explanation.clusters.iter().any(serves) { None } else { Some(503) };
    if let Some(destination) = rule.destinations.first() {
        let mut head = head_of(request);
        match rule.prepare_head(destination, &mut head, matched, rules) {
            Ok(_) => explanation.upstream_request = Some(upstream_request(&head)),
            Err(error) => refuse(error.into(), explanation),
        }
    }
}

fn endpoints(cluster: &Cluster) -> Vec<ExplainedEndpoint> {
    let known = cluster.report().into_iter().map(|report| ExplainedEndpoint {
        address: report.member.endpoint.address().to_string(),
        state: report.role.word().to_owned(),
    });
    let names = cluster.settings().endpoints.iter().map(|endpoint| &endpoint.address);
    let names = names.filter(|address| address.socket().is_none());
    let names =
        names.map(|name| ExplainedEndpoint { address: name.to_string(), state: "dns".to_owned() });
    known.chain(names).collect()
}

/// Whether a request can go to one of these.
fn serves(cluster: &ExplainedCluster) -> bool {
    let able = |endpoint: &ExplainedEndpoint| {
        matches!(endpoint.state.as_str(), "healthy" | "warming" | "draining" | "dns")
    };
    cluster.endpoints.iter().any(able)
}

fn upstream_request(head: &RequestHead) -> UpstreamRequest {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    UpstreamRequest {
        method: head.method.to_string(),
        authority: text(&head.authority),
        path: head.path.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
    }
}

fn filters(rule: &CompiledRule) -> Vec<&'static str> {
    let mut filters = Vec::new();
    match &rule.rule.action {
        Action::Redirect(_) => filters.push("redirect"),
        Action::DirectResponse(_) => filters.push("direct_response"),
        Action::Forward { path_rewrite, authority_rewrite, .. } => {
            if path_rewrite.is_some() || authority_rewrite.is_some() {
                filters.push("rewrite");
            }
        }
    }
    let changes_headers = !rule.rule.request_headers.is_empty()
        || !rule.rule.response_headers.is_empty()
        || rule.destinations.iter().any(|destination| {
            !destination.settings.request_headers.is_empty()
                || !destination.settings.response_headers.is_empty()
        });
    if changes_headers {
        filters.push("header_operations");
    }
    if rule.rule.timeout.is_some() {
        filters.push("timeout");
    }
    filters
}

fn source(origin: &portcullis_model::Origin) -> Source {
    Source { file: origin.file.to_string(), line: origin.line }
}
