//! What the chosen rule does with a request that has passed its plugins.

use portcullis_exchange::RequestHead;
use portcullis_message::{Body, Canonical, HeadRules, Reply, canonical_path_for, check_authority};
use portcullis_model::Action;
use portcullis_snapshot::{CompiledRule, SocketTable};

use crate::ProxyError;
use crate::choose::choose_route;
use crate::flight::Flight;
use crate::outbound::{Outbound, check_length};
use crate::steps::Passed;

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
