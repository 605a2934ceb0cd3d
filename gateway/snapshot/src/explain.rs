//! Explaining what a snapshot does with a request, by the code that serves it.

use std::sync::Arc;

use http::Version;
use http::header::{HOST, LOCATION};
use http::uri::Uri;
use portcullis_exchange::{Protocol, RequestHead};
use portcullis_filters::{MatchedPath, Redirect, Requested};
use portcullis_message::{
    HeadError, HeadRules, Health, HealthPath, canonical_head, normalise_host,
};
use portcullis_model::Action;
use portcullis_routing::{ConsideredRule as Considered, Outcome, RouteQuery};

use crate::explain_authentication::Identity;
use crate::explain_filters::{answered_by_filter, native_filters, native_steps};
use crate::explain_plugins::{explain_chain, refuses_all};
use crate::explain_policies::{explain_connection_policies, explain_policies};
use crate::explain_upstream::{endpoints, explain_forward, header_changes};
use crate::explanation::{ConsideredRule, ExplainedCluster, Explanation, MOST_CONSIDERED, Source};
use crate::{
    ChainStep, CompiledListener, CompiledRule, CompiledTcpDestination, Handling, RequestToExplain,
    Snapshot, SocketKey, SocketTable, TcpTable,
};

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
        .and_then(|tcp| passed_on(table, tcp, (&host, request)))
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
    let asked = table.routes.find_listener(host).and_then(|index| table.listeners.get(index));
    let identity = Identity::of(asked, head_of(request));
    let query = RouteQuery {
        host,
        scheme: request.scheme,
        method: &request.method,
        path: request.path.path(),
        query: request.path.query(),
        headers: &request.headers,
        claims: identity.authenticated().map(|who| &who.claims),
    };
    let consideration = table.routes.consider(&query);
    let (considered, considered_left_out) = told(table, &consideration.rules);
    let mut explanation = Explanation {
        host: consideration.virtual_host.as_ref().map(ToString::to_string),
        considered,
        considered_left_out,
        ..not_found()
    };
    let Some(listener) = consideration.listener.and_then(|index| table.listeners.get(index)) else {
        return explanation;
    };
    let settings = &listener.settings;
    explanation.listener = Some(format!("Gateway/{}/{}", settings.gateway, settings.server));
    let chosen = consideration
        .route
        .and_then(|route| Some((&**table.rules.get(route.rule_index)?, route.matched)));
    if listener.settings.https_redirect && request.scheme == "http" {
        // The reply names the rule, though it is not what answers.
        explanation.route = chosen.map(|(rule, _)| rule.rule.id.to_string());
        explanation.source = chosen.map(|(rule, _)| Source::from(&rule.rule.origin));
        explanation.filters.push("https_redirect".to_owned());
        let redirect = Redirect::to_https();
        explain_redirect(&redirect, request, MatchedPath::Whole, &mut explanation);
        return explanation;
    }
    explanation.filters.extend(native_steps(settings));
    if let Some((rule, matched)) = chosen {
        explain_rule((listener, rule), matched, request, &mut explanation);
    }
    let chain = table.chain(listener, chosen.as_ref().map(|(rule, _)| *rule));
    let rule = chosen.as_ref().map(|(rule, _)| &*rule.rule.id);
    explanation.plugins =
        chain.iter().filter_map(ChainStep::plugin).map(|step| step.id.to_string()).collect();
    explanation.plugin_chain = explain_chain(chain, listener, rule, snapshot);
    if !identity.tell(&mut explanation) {
        explain_policies(settings, request, (head_of(request), &identity), &mut explanation);
    }
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
fn passed_on(
    table: &SocketTable,
    tcp: &TcpTable,
    (host, request): (&str, &RequestToExplain),
) -> Option<Explanation> {
    let route = tcp.find(Some(host)).filter(|route| route.handling != Handling::Http)?;
    let mut explanation = Explanation { outcome: "not_found", ..Explanation::default() };
    let listener = table.listeners.get(route.listener).map(|listener| &listener.settings);
    explanation.listener =
        listener.map(|listener| format!("Gateway/{}/{}", listener.gateway, listener.server));
    if let Some(rule) = tcp.rule(route) {
        explanation.outcome = "forward";
        explanation.route = Some(rule.rule.id.to_string());
        explanation.source = Some(Source::from(&rule.rule.origin));
        let cluster = |destination: &CompiledTcpDestination| ExplainedCluster {
            name: destination.label.to_string(),
            weight: destination.weight,
            status: None,
            endpoints: destination.cluster.as_deref().map(endpoints).unwrap_or_default(),
        };
        explanation.clusters = rule.destinations.iter().map(cluster).collect();
    }
    if let Some(listener) = listener {
        explain_connection_policies(listener, request, host, &mut explanation);
    }
    if let Some(policy) = tcp.refusal(route) {
        explanation.outcome = "refused";
        explanation.refusal = Some(format!("policy_broken: {policy}"));
    }
    Some(explanation)
}

/// What is told of the rules that were considered, and how many are not told of.
fn told(table: &SocketTable, rules: &[Considered]) -> (Vec<ConsideredRule>, usize) {
    let is_told = |(index, rule): &(usize, &Considered)| {
        *index < MOST_CONSIDERED || rule.outcome == Outcome::Matched
    };
    let chosen = rules.iter().enumerate().filter(is_told);
    let told: Vec<_> = chosen.filter_map(|(_, rule)| considered(table, rule)).collect();
    let left_out = rules.len() - told.len();
    (told, left_out)
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
        source: Source::from(&compiled.rule.origin),
    })
}

fn socket_for(snapshot: &Snapshot, port: u16) -> Option<&Arc<SocketTable>> {
    let any = SocketKey { port, bind: None };
    snapshot.socket(any).or_else(|| {
        snapshot.sockets.iter().find(|(key, _)| key.port == port).map(|(_, table)| table)
    })
}

fn explain_rule(
    (listener, rule): (&CompiledListener, &CompiledRule),
    matched: MatchedPath,
    request: &RequestToExplain,
    explanation: &mut Explanation,
) {
    explanation.route = Some(rule.rule.id.to_string());
    explanation.source = Some(Source::from(&rule.rule.origin));
    explanation.filters.extend(native_filters(listener, rule));
    explanation.header_changes = header_changes(rule);
    if let Some(status) = answered_by_filter(rule, request) {
        explanation.outcome = "direct_response";
        explanation.status = Some(status.as_u16());
        return;
    }
    let place = (matched, listener.head_rules());
    match &rule.rule.action {
        Action::Redirect(redirect) => explain_redirect(redirect, request, matched, explanation),
        Action::DirectResponse(direct) => {
            explanation.outcome = "direct_response";
            explanation.status = Some(direct.status.as_u16());
        }
        Action::Forward { .. } => {
            if let Err(error) = explain_forward(rule, place, &head_of(request), explanation) {
                refuse(error.into(), explanation);
            }
        }
    }
}

fn explain_redirect(
    redirect: &Redirect,
    request: &RequestToExplain,
    matched: MatchedPath,
    explanation: &mut Explanation,
) {
    let reply = redirect.reply(Requested {
        scheme: request.scheme,
        authority: request.authority.to_str().unwrap_or(""),
        port: request.port,
        path: &request.path,
        matched,
    });
    let location = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    explanation.outcome = "redirect";
    explanation.status = Some(reply.status.as_u16());
    explanation.location = location.map(str::to_owned);
}
