//! The native filters in a listener's chain: who asks, and whether they may.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use portcullis_exchange::{Exchange, HeadChange, ResponseFlag};
use portcullis_filters::{AccessRefusal, Authorization, RequestAuthentication};
use portcullis_message::Reply;
use portcullis_snapshot::ChainStep;

use crate::ProxyError;
use crate::canonicalise::canonicalise_again;
use crate::flight::Flight;
use crate::refusal::Refusal;

/// Has a request's head pass a native filter. Plugins are not its matter, but what one made of the head is looked at in
/// the form in which it will go on.
pub(crate) fn pass_native(flight: &mut Flight, step: &ChainStep) -> Result<(), ProxyError> {
    if flight.exchange.head_change == HeadChange::Line {
        let rules = flight.head_rules();
        canonicalise_again(&mut flight.exchange.request, rules)?;
    }
    let exchange = &flight.exchange;
    let refusal = match step {
        ChainStep::Plugin(_) => None,
        ChainStep::Authentication(authentication) => {
            return authenticate(flight, authentication);
        }
        ChainStep::CustomAuthorization(authorization) => authorization.custom_refusal(exchange),
        ChainStep::Authorization(authorization) => {
            tell(authorization, exchange);
            authorization.refusal(exchange)
        }
    };
    match refusal {
        None => Ok(()),
        Some(refusal) => Err(denied(refusal)),
    }
}

fn authenticate(
    flight: &mut Flight,
    authentication: &RequestAuthentication,
) -> Result<(), ProxyError> {
    let Flight { worker, exchange, .. } = flight;
    let verdict = authentication.authenticate(exchange, &mut worker.tokens.borrow_mut());
    verdict.map_err(|refusal| {
        let audience = worker.settings.foreign_audience;
        // As in Envoy, there is no flag for it.
        ProxyError::Refused(Box::new(Refusal {
            reply: refusal.reply(&exchange.request, audience),
            grpc_status: None,
            flag: None,
            details: refusal.details().into(),
        }))
    })
}

fn denied(refusal: AccessRefusal<'_>) -> ProxyError {
    let mut reply = Reply::status(StatusCode::FORBIDDEN);
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    reply.body = "RBAC: access denied".into();
    ProxyError::Refused(Box::new(Refusal {
        reply,
        grpc_status: None,
        flag: Some(ResponseFlag::UnauthorizedExternalService),
        details: refusal.to_string().into(),
    }))
}

/// Why a connection whose bytes are passed on is refused.
pub(crate) fn connection_refusal(
    authorization: &Authorization,
    exchange: &Exchange,
) -> Option<String> {
    tell(authorization, exchange);
    let custom = authorization.custom_refusal(exchange);
    let refusal = custom.or_else(|| authorization.refusal(exchange));
    refusal.map(|refusal| refusal.to_string())
}

/// What policies match that refuse nothing.
fn tell(authorization: &Authorization, exchange: &Exchange) {
    authorization.watch(exchange, |refusal| {
        let action = refusal.policy.map_or("ALLOW", |(policy, _)| policy.action.as_str());
        let request = exchange.request_id.to_str().unwrap_or("");
        tracing::debug!(target: "authorization", action, request, "not enforced: {refusal}");
    });
}
