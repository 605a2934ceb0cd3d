//! The life of one request.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body as _;
use portcullis_exchange::Connection;
use portcullis_filters::Redirect;
use portcullis_message::{Body, Reply};
use portcullis_model::Action;
use portcullis_wasm::EndOfStream;

use crate::admit::admit_request;
use crate::flight::Flight;
use crate::forward::forward;
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
    let answer = match admitted {
        Ok(()) => answer(&mut flight, body).await,
        Err(error) => Err(error),
    };
    respond(flight, answer)
}

async fn answer(flight: &mut Flight, body: Body) -> Result<Answer, ProxyError> {
    flight.choose_route();
    if let Some(reply) = redirect_to_https(flight) {
        return Ok(Answer::Reply(reply));
    }
    let end_of_stream = if body.is_end_stream() { EndOfStream::Yes } else { EndOfStream::No };
    if let Some(reply) = run_request_steps(flight, end_of_stream)? {
        return Ok(Answer::Reply(reply));
    }
    if flight.exchange.request_changed {
        flight.choose_route();
    }
    match flight.rule_reply()? {
        Some(reply) => Ok(Answer::Reply(reply)),
        None => forward(flight, body).await.map(Answer::Upstream),
    }
}

/// `httpsRedirect`: decided before plugins run, since the request will never be served as it came.
fn redirect_to_https(flight: &mut Flight) -> Option<Reply> {
    let table = flight.table.clone()?;
    let listener = flight.choice.listener(&table)?;
    let request = &flight.exchange.request;
    if !listener.settings.https_redirect || request.scheme == "https" {
        return None;
    }
    let reply = Redirect::to_https().reply(
        request.scheme,
        request.authority_str(),
        &request.path,
        flight.choice.matched(),
    );
    flight.exchange.code_details = "https_redirect".into();
    Some(reply)
}

impl Flight {
    /// The reply that the chosen rule gives itself; `None` where it forwards.
    fn rule_reply(&mut self) -> Result<Option<Reply>, ProxyError> {
        let table = self.table.clone().ok_or(ProxyError::NoRoute)?;
        let rule = self.choice.rule(&table).ok_or(ProxyError::NoRoute)?;
        let request = &self.exchange.request;
        let reply = match &rule.rule.action {
            Action::Forward { .. } => return Ok(None),
            Action::DirectResponse(direct) => direct.reply(),
            Action::Redirect(redirect) => redirect.reply(
                request.scheme,
                request.authority_str(),
                &request.path,
                self.choice.matched(),
            ),
        };
        self.exchange.code_details = "direct_response".into();
        Ok(Some(reply))
    }
}
