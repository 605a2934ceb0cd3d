//! The life of one request.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body as _;
use portcullis_exchange::{Connection, RequestHead};
use portcullis_filters::Redirect;
use portcullis_message::{Body, Canonical, Reply, canonical_path_for, check_authority};
use portcullis_model::Action;
use portcullis_snapshot::{CompiledListener, CompiledRule, SocketTable};
use portcullis_wasm::EndOfStream;

use crate::admit::admit_request;
use crate::choose::choose_route;
use crate::flight::Flight;
use crate::forward::forward;
use crate::outbound::Outbound;
use crate::respond::{Answer, respond};
use crate::steps::run_request_steps;
use crate::{ProxyError, ResponseBody, Worker};

/// Serves one request on one snapshot, whatever happens to the configuration meanwhile. Never fails: every
/// error becomes a reply.
pub async fn handle_request(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    request: Request<Body>,
) -> Response<ResponseBody> {
    let snapshot = worker.pin();
    let (exchange, body, admitted) = admit_request(&worker, &snapshot, &connection, request);
    let mut flight = Flight::begin(worker, snapshot, exchange);
    let answer = match admitted.and_then(|()| decide(&mut flight, body)) {
        Ok(Decision::Reply(reply)) => Ok(Answer::Reply(reply)),
        Ok(Decision::Forward(mut outbound)) => {
            forward(&mut flight, &mut outbound).await.map(Answer::Upstream)
        }
        Err(error) => Err(error),
    };
    respond(flight, answer)
}

/// What becomes of a request. Everything up to here happens at once, without waiting.
enum Decision {
    /// The gateway answers: the listener, a plugin or the rule.
    Reply(Reply),
    /// It goes to an upstream.
    Forward(Outbound),
}

fn decide(flight: &mut Flight, body: Body) -> Result<Decision, ProxyError> {
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    flight.choice = choose_route(&table, &mut flight.exchange);
    if let Some(listener) = flight.choice.listener(&table) {
        if let Some(reply) = redirect_to_https(flight, listener) {
            return Ok(Decision::Reply(reply));
        }
        let end = if body.is_end_stream() { EndOfStream::Yes } else { EndOfStream::No };
        if let Some(reply) = run_request_steps(flight, listener, end)? {
            return Ok(Decision::Reply(reply));
        }
    }
    if flight.exchange.request_changed {
        choose_again(flight, &table)?;
    }
    let rule = flight.choice.rule(&table).ok_or(ProxyError::NoRoute)?;
    match rule_reply(flight, rule) {
        Some(reply) => Ok(Decision::Reply(reply)),
        None => Outbound::prepare(flight, rule, body).map(Decision::Forward),
    }
}

/// A plugin changed the head. The request stays with its listener: the plugins of another one have not seen it.
fn choose_again(flight: &mut Flight, table: &SocketTable) -> Result<(), ProxyError> {
    canonicalise_again(&mut flight.exchange.request)?;
    let choice = choose_route(table, &mut flight.exchange);
    if choice.listener != flight.choice.listener {
        flight.choice.rule = None;
        return Err(ProxyError::NoRoute);
    }
    flight.choice = choice;
    Ok(())
}

/// What a plugin set is held to the same rules as what a client sends.
fn canonicalise_again(request: &mut RequestHead) -> Result<(), ProxyError> {
    match canonical_path_for(&request.method, &request.path) {
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
