//! What the chosen rule does with a request that has passed its plugins.

use std::time::Duration;

use portcullis_filters::Requested;
use portcullis_message::{Body, Reply};
use portcullis_model::Action;
use portcullis_snapshot::{CompiledRule, SocketTable};

use crate::ProxyError;
use crate::flight::Flight;
use crate::native_filters::{Passage, pass_filters, sit_out};
use crate::outbound::{Outbound, check_length, draw_destination};
use crate::steps::Passed;

/// What the rule does with a request that has passed its plugins.
pub(crate) fn decide_route(
    flight: &mut Flight,
    table: &SocketTable,
    body: Body,
) -> Result<Decision, ProxyError> {
    let rule = flight.choice.rule(table).ok_or(ProxyError::NoRoute)?;
    if let Some(reply) = rule_reply(flight, rule) {
        check_length(flight, rule, &body)?;
        return Ok(Decision::Reply(reply));
    }
    let destination = draw_destination(flight, rule)?;
    if let Some(redirect) = destination.redirect() {
        check_length(flight, rule, &body)?;
        flight.exchange.code_details = "direct_response".into();
        return Ok(Decision::Reply(redirect.reply(requested(flight))));
    }
    Outbound::prepare(flight, (rule, destination), body).map(Decision::Forward)
}

/// Has a request that has passed its plugins pass the native filters of its rule, and then what the rule does.
pub(crate) fn pass_and_decide(
    flight: &mut Flight,
    table: &SocketTable,
    body: Body,
) -> Result<Decision, ProxyError> {
    match pass_filters(flight, table)? {
        Passage::All => decide_route(flight, table, body),
        Passage::Reply(reply) => Ok(Decision::Reply(reply)),
        Passage::Delayed(delay) => Ok(Decision::Delay(body, delay)),
    }
}

/// The same for a request that a filter delays, once its time has come.
pub(crate) async fn decide_later(
    flight: &mut Flight,
    body: Body,
    delay: Duration,
) -> Result<Decision, ProxyError> {
    if let Err(stop) = sit_out(flight, delay).await {
        return stop.reply(&mut flight.exchange).map(Decision::Reply);
    }
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    decide_route(flight, &table, body)
}

/// Whether the chosen rule sends it to an upstream. Where the gateway answers nobody waits for the rest of it.
pub(crate) fn goes_up(flight: &Flight, table: &SocketTable) -> bool {
    let rule = flight.choice.rule(table);
    rule.is_some_and(|rule| matches!(rule.rule.action, Action::Forward { .. }))
}

/// What becomes of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "a request is as large, and a box would cost an allocation"
)]
pub(crate) enum Decision {
    /// The gateway answers: the listener, a plugin or the rule.
    Reply(Reply),
    /// It goes to an upstream.
    Forward(Outbound),
    /// A fault holds it for so long.
    Delay(Body, Duration),
    /// Plugins hold it, or want to see its body too.
    Filter(Body, Passed),
}

/// The reply that a rule gives itself; `None` where it forwards.
fn rule_reply(flight: &mut Flight, rule: &CompiledRule) -> Option<Reply> {
    let reply = match &rule.rule.action {
        Action::Forward { .. } => return None,
        Action::DirectResponse(direct) => direct.reply(),
        Action::Redirect(redirect) => redirect.reply(requested(flight)),
    };
    flight.exchange.code_details = "direct_response".into();
    Some(reply)
}

/// What a redirect keeps of the request.
pub(crate) fn requested(flight: &Flight) -> Requested<'_> {
    let request = &flight.exchange.request;
    Requested {
        scheme: request.scheme,
        authority: request.authority_str(),
        port: flight.exchange.connection.port,
        path: &request.path,
        matched: flight.choice.matched(),
    }
}
