//! The life of one request.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body as _;
use portcullis_exchange::{Connection, RequestHead};
use portcullis_filters::Redirect;
use portcullis_message::{Body, Canonical, HeadRules, Reply, canonical_path_for, check_authority};
use portcullis_model::Action;
use portcullis_snapshot::{CompiledListener, CompiledRule, SocketKey, SocketTable};
use portcullis_wasm::EndOfStream;

use crate::admit::admit_request;
use crate::choose::choose_route;
use crate::flight::Flight;
use crate::forward::forward;
use crate::handshake::check_handshake;
use crate::health::answer_health;
use crate::in_time::in_time;
use crate::memory::check_memory;
use crate::outbound::{Outbound, check_length};
use crate::request_filter::filter_request;
use crate::request_pump::RequestPump;
use crate::respond::{Answer, respond};
use crate::response_filter::Responded;
use crate::steps::{Chain, Passed, pass_request_head};
use crate::upgrade::check_accept;
use crate::{Progress, ProxyError, ResponseBody, Worker};

/// Serves one request on one snapshot, whatever happens to the configuration meanwhile. Never fails: every
/// error becomes a reply. `progress` is its own, by which it is broken off when it takes too long.
pub async fn handle_request(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    request: Request<Body>,
    progress: Rc<Progress>,
) -> Response<ResponseBody> {
    let snapshot = worker.pin();
    let key = SocketKey { port: connection.port, bind: connection.bind };
    let table = snapshot.socket(key).cloned();
    let (exchange, body, admitted) =
        admit_request(&worker, &snapshot, table.as_ref(), &connection, request);
    let mut flight = Flight::begin(worker, snapshot, table, exchange, progress.clone());
    if admitted.is_ok()
        && let Some(reply) = answer_health(&mut flight)
    {
        return finish(flight, Ok(Answer::Health(reply))).await;
    }
    let admitted = admitted.and_then(|()| check_memory(&flight));
    let decision = match admitted.and_then(|()| decide(&mut flight, body)) {
        // Few requests have a plugin that wants more than the head, so it stays out of every request's future.
        Ok(Decision::Filter(body, passed)) => {
            Box::pin(filter_request(&mut flight, body, passed)).await
        }
        decision => decision,
    };
    let answer = match decision {
        Ok(Decision::Forward(mut outbound)) => {
            let upload = flight.pump.as_ref().map(RequestPump::watch);
            let answered = {
                let forwarding = pin!(forward(&mut flight, &mut outbound));
                in_time(&progress, upload, forwarding).await
            };
            match answered {
                Ok(mut response) => {
                    outbound.give_cookie(response.headers_mut());
                    check_accept(&response, outbound.accept.as_deref())
                        .map(|()| Answer::Upstream(response))
                }
                Err(stop) => stop.reply(&mut flight).map(Answer::Reply),
            }
        }
        Ok(Decision::Reply(reply)) => Ok(Answer::Reply(reply)),
        // It was filtered above.
        Ok(Decision::Filter(..)) => Err(ProxyError::NoRoute),
        Err(error) => Err(error),
    };
    finish(flight, answer).await
}

/// Sends the answer once the plugins let it go.
async fn finish(flight: Flight, answer: Result<Answer, ProxyError>) -> Response<ResponseBody> {
    match respond(flight, answer) {
        Responded::Now(response) => response,
        Responded::Later(reply) => Box::pin(reply.finish()).await,
    }
}

/// What becomes of a request. Everything up to here happens at once, without waiting.
#[expect(
    clippy::large_enum_variant,
    reason = "a request is as large, and a box would cost an allocation"
)]
pub(crate) enum Decision {
    /// The gateway answers: the listener, a plugin or the rule.
    Reply(Reply),
    /// It goes to an upstream.
    Forward(Outbound),
    /// Plugins hold it, or want to see its body too.
    Filter(Body, Passed),
}

fn decide(flight: &mut Flight, body: Body) -> Result<Decision, ProxyError> {
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    flight.choice = choose_route(&table, &mut flight.exchange);
    if let Some(listener) = flight.choice.listener(&table) {
        check_handshake(flight, &table, listener)?;
        if let Some(reply) = redirect_to_https(flight, listener) {
            return Ok(Decision::Reply(reply));
        }
        if !listener.chain.is_empty() {
            match run_plugins(flight, &listener.chain, &body)? {
                Passed::All => {}
                Passed::Reply(reply) => return Ok(Decision::Reply(reply)),
                passed => return Ok(Decision::Filter(body, passed)),
            }
            if !body.is_end_stream() && flight.wants_request_body() {
                return Ok(Decision::Filter(body, Passed::All));
            }
        }
    }
    decide_route(flight, &table, body)
}

/// The head's way through the plugins that its listener names.
fn run_plugins(flight: &mut Flight, chain: &Chain, body: &Body) -> Result<Passed, ProxyError> {
    flight.chain = Some(chain.clone());
    let end = if body.is_end_stream() { EndOfStream::Yes } else { EndOfStream::No };
    pass_request_head(flight, chain, 0, end)
}

/// What the rule does with a request that has passed its plugins.
pub(crate) fn decide_route(
    flight: &mut Flight,
    table: &SocketTable,
    body: Body,
) -> Result<Decision, ProxyError> {
    if flight.exchange.request_changed {
        choose_again(flight, table)?;
    }
    let rule = flight.choice.rule(table).ok_or(ProxyError::NoRoute)?;
    match rule_reply(flight, rule) {
        Some(reply) => {
            check_length(flight, rule, &body)?;
            Ok(Decision::Reply(reply))
        }
        None => Outbound::prepare(flight, rule, body).map(Decision::Forward),
    }
}

/// A plugin changed the head. The request stays with its listener: the plugins of another one have not seen it.
fn choose_again(flight: &mut Flight, table: &SocketTable) -> Result<(), ProxyError> {
    let rules = flight.head_rules();
    canonicalise_again(&mut flight.exchange.request, rules)?;
    let choice = choose_route(table, &mut flight.exchange);
    if choice.listener != flight.choice.listener {
        flight.choice.rule = None;
        return Err(ProxyError::NoRoute);
    }
    flight.choice = choice;
    Ok(())
}

/// What a plugin set is held to the same rules as what a client sends to the listener.
fn canonicalise_again(request: &mut RequestHead, rules: HeadRules) -> Result<(), ProxyError> {
    match canonical_path_for(&request.method, &request.path, rules) {
        Ok(Canonical::AsSent) => {}
        Ok(Canonical::Changed(path)) => request.path = path,
        Err(_) => return Err(ProxyError::ChangedHeadRefused("plugin_path_refused")),
    }
    // HTTP/1.0 may have none.
    if !request.authority.is_empty() && check_authority(request.authority.as_bytes()).is_err() {
        return Err(ProxyError::ChangedHeadRefused("plugin_host_refused"));
    }
    Ok(())
}

/// `httpsRedirect`: decided before plugins run, since the request will never be served as it came.
fn redirect_to_https(flight: &mut Flight, listener: &CompiledListener) -> Option<Reply> {
    let request = &flight.exchange.request;
    if !listener.settings.https_redirect || request.scheme == "https" {
        return None;
    }
    let (authority, matched) = (request.authority_str(), flight.choice.matched());
    let reply = Redirect::to_https().reply(request.scheme, authority, &request.path, matched);
    flight.exchange.code_details = "https_redirect".into();
    Some(reply)
}

/// The reply that a rule gives itself; `None` where it forwards.
fn rule_reply(flight: &mut Flight, rule: &CompiledRule) -> Option<Reply> {
    let request = &flight.exchange.request;
    let reply = match &rule.rule.action {
        Action::Forward { .. } => return None,
        Action::DirectResponse(direct) => direct.reply(),
        Action::Redirect(redirect) => {
            let (authority, matched) = (request.authority_str(), flight.choice.matched());
            redirect.reply(request.scheme, authority, &request.path, matched)
        }
    };
    flight.exchange.code_details = "direct_response".into();
    Some(reply)
}
