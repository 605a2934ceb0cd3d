//! The life of one request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

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
use crate::memory::check_memory;
use crate::outbound::{Outbound, check_length};
use crate::respond::{Answer, respond};
use crate::steps::run_request_steps;
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
        return respond(flight, Ok(Answer::Health(reply)));
    }
    let admitted = admitted.and_then(|()| check_memory(&flight));
    let answer = match admitted.and_then(|()| decide(&mut flight, body)) {
        Ok(Decision::Reply(reply)) => Ok(Answer::Reply(reply)),
        Ok(Decision::Forward(mut outbound)) => {
            let answered = in_time(&progress, pin!(forward(&mut flight, &mut outbound))).await;
            answered.and_then(|response| {
                check_accept(&response, outbound.accept.as_deref())?;
                Ok(Answer::Upstream(response))
            })
        }
        Err(error) => Err(error),
    };
    respond(flight, answer)
}

/// Awaits the reply's head for as long as the request may last. Once it is dropped, so is the upstream's work.
async fn in_time<T>(
    progress: &Progress,
    mut forwarding: Pin<&mut impl Future<Output = Result<T, ProxyError>>>,
) -> Result<T, ProxyError> {
    poll_fn(|cx| match progress.take_overdue() {
        Some(overdue) => Poll::Ready(Err(ProxyError::Overdue(overdue))),
        None => forwarding.as_mut().poll(cx),
    })
    .await
}

/// What becomes of a request. Everything up to here happens at once, without waiting.
#[expect(
    clippy::large_enum_variant,
    reason = "a request is as large, and a box would cost an allocation"
)]
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
        check_handshake(flight, &table, listener)?;
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
