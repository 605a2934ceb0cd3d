//! What the chosen rule does with a request that has passed its plugins.

use portcullis_message::{Body, Reply};
use portcullis_model::Action;
use portcullis_snapshot::{CompiledRule, SocketTable};

use crate::ProxyError;
use crate::flight::Flight;
use crate::outbound::{Outbound, check_length};
use crate::steps::Passed;

/// What the rule does with a request that has passed its plugins.
pub(crate) fn decide_route(
    flight: &mut Flight,
    table: &SocketTable,
    body: Body,
) -> Result<Decision, ProxyError> {
    let rule = flight.choice.rule(table).ok_or(ProxyError::NoRoute)?;
    match rule_reply(flight, rule) {
        Some(reply) => {
            check_length(flight, rule, &body)?;
            Ok(Decision::Reply(reply))
        }
        None => Outbound::prepare(flight, rule, body).map(Decision::Forward),
    }
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
    /// Plugins hold it, or want to see its body too.
    Filter(Body, Passed),
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
