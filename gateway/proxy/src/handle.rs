//! The life of one request.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body as _;
use portcullis_exchange::Connection;
use portcullis_filters::Redirect;
use portcullis_message::{Body, Reply};
use portcullis_snapshot::{CompiledListener, SocketKey};
use portcullis_upstream::Outcome;
use portcullis_wasm::EndOfStream;

use crate::admit::admit_request;
use crate::choose::choose_route;
use crate::decision::{Decision, decide_later, goes_up, pass_and_decide, requested};
use crate::flight::Flight;
use crate::forward::forward;
use crate::handshake::check_handshake;
use crate::health::answer_health;
use crate::in_time::in_time;
use crate::memory::check_memory;
use crate::outbound::Outbound;
use crate::overdue::Overdue;
use crate::request_filter::filter_request;
use crate::request_pump::RequestPump;
use crate::reroute::choose_again;
use crate::respond::{Answer, respond};
use crate::response_filter::Responded;
use crate::running::Chain;
use crate::steps::{Passed, pass_request_head};
use crate::stop::Stop;
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
        Ok(Decision::Delay(body, delay)) => Box::pin(decide_later(&mut flight, body, delay)).await,
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
                Err(stop) => {
                    hold_against_upstream(&flight, &outbound, &stop);
                    stop.reply(&mut flight.exchange).map(Answer::Reply)
                }
            }
        }
        Ok(Decision::Reply(reply)) => Ok(Answer::Reply(reply)),
        // It waited above.
        Ok(Decision::Filter(..) | Decision::Delay(..)) => Err(ProxyError::NoRoute),
        Err(error) => Err(error),
    };
    finish(flight, answer).await
}

/// An upstream that has the request whole and says nothing has failed it.
fn hold_against_upstream(flight: &Flight, outbound: &Outbound, stop: &Stop) {
    if outbound.request.is_none()
        && matches!(stop, Stop::Error(ProxyError::Overdue(Overdue::UpstreamIdle)))
    {
        flight.record_outcome(Outcome::Late);
    }
}

/// Sends the answer once the plugins let it go.
async fn finish(flight: Flight, answer: Result<Answer, ProxyError>) -> Response<ResponseBody> {
    match respond(flight, answer) {
        Responded::Now(response) => response,
        Responded::Later(reply) => Box::pin(reply.finish()).await,
    }
}

/// Everything up to here happens at once, without waiting.
fn decide(flight: &mut Flight, body: Body) -> Result<Decision, ProxyError> {
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    flight.choice = choose_route(&table, &mut flight.exchange);
    if let Some(listener) = flight.choice.listener(&table) {
        check_handshake(flight, &table, listener)?;
        if let Some(reply) = redirect_to_https(flight, listener) {
            return Ok(Decision::Reply(reply));
        }
        let chain = table.chain(listener, flight.choice.rule(&table));
        if !chain.is_empty() {
            match run_plugins(flight, chain, &body)? {
                Passed::All => {}
                Passed::Reply(reply) => return Ok(Decision::Reply(reply)),
                passed => return Ok(Decision::Filter(body, passed)),
            }
            if !body.is_end_stream() && flight.wants_request_body() && goes_up(flight, &table) {
                return Ok(Decision::Filter(body, Passed::All));
            }
        }
    }
    pass_and_decide(flight, &table, body)
}

/// The head's way through the plugins of its listener and its rule; of another rule, where they send it there.
fn run_plugins(flight: &mut Flight, chain: &Chain, body: &Body) -> Result<Passed, ProxyError> {
    flight.chain = Some(chain.clone());
    let end = if body.is_end_stream() { EndOfStream::Yes } else { EndOfStream::No };
    match pass_request_head(flight, chain, 0, end)? {
        Passed::All => Ok(choose_again(flight, end)?.unwrap_or(Passed::All)),
        stopped => Ok(stopped),
    }
}

/// `httpsRedirect`: decided before plugins run, since the request will never be served as it came.
fn redirect_to_https(flight: &mut Flight, listener: &CompiledListener) -> Option<Reply> {
    let request = &flight.exchange.request;
    if !listener.settings.https_redirect || request.scheme == "https" {
        return None;
    }
    let reply = Redirect::to_https().reply(requested(flight));
    flight.exchange.code_details = "https_redirect".into();
    Some(reply)
}
