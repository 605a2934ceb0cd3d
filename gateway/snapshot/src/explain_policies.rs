//! The authorization policies that a request is held against, and what each says of it.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_exchange::{Connection, Exchange, RequestHead};
use portcullis_filters::{
    AccessSubject, AccessVerdict, Authorization, ConsideredPolicy, Enforcement, PolicyOutcome,
    consider_access,
};
use portcullis_model::{ClientAuth, Listener};

use crate::RequestToExplain;
use crate::explain_authentication::Identity;
use crate::explanation::{ExplainedPolicy, Explanation};

/// Holds a request against the policies of its listener. Where they refuse it, that is its outcome.
pub(crate) fn explain_policies(
    listener: &Listener,
    request: &RequestToExplain,
    (head, identity): (RequestHead, &Identity),
    explanation: &mut Explanation,
) {
    let Some(authorization) = &listener.authorization else { return };
    let mut exchange = Exchange::new(connection(request), head);
    exchange.authenticated = identity.authenticated().cloned();
    explain(authorization, &exchange, (listener, request, identity), explanation);
}

/// Holds a connection whose bytes are passed on against the policies of its listener; its client asks for this server.
pub(crate) fn explain_connection_policies(
    listener: &Listener,
    request: &RequestToExplain,
    server_name: &str,
    explanation: &mut Explanation,
) {
    let Some(authorization) = &listener.authorization else { return };
    let mut exchange = Exchange::of_connection(connection(request));
    exchange.passed_name = Some(server_name.into());
    explain(authorization, &exchange, (listener, request, &Identity::Nobody), explanation);
}

fn explain(
    authorization: &Authorization,
    exchange: &Exchange,
    (listener, request, identity): (&Listener, &RequestToExplain, &Identity),
    explanation: &mut Explanation,
) {
    let is_known = |subject: &AccessSubject| match subject {
        AccessSubject::RequestPrincipal(_) | AccessSubject::Claim(..) => identity.is_told(),
        _ => is_known(subject, listener, request, exchange),
    };
    let considered = consider_access(authorization, exchange, is_known);
    explanation.policies = considered.policies.iter().map(tell).collect();
    if let AccessVerdict::Refused(refusal) = considered.verdict {
        explanation.outcome = "refused";
        explanation.status = listener.protocol.is_http().then_some(403);
        explanation.refusal = Some(refusal.to_string());
    }
}

/// As it would come from the client that is given, without a proxy between.
fn connection(request: &RequestToExplain) -> Arc<Connection> {
    let nowhere = Connection::nowhere();
    let peer = request.client.map_or(nowhere.peer, |client| SocketAddr::new(client, 0));
    Arc::new(Connection { peer, port: request.port, ..nowhere })
}

/// Whether the made-up exchange has what a true one would have.
fn is_known(
    subject: &AccessSubject,
    listener: &Listener,
    request: &RequestToExplain,
    exchange: &Exchange,
) -> bool {
    match subject {
        AccessSubject::Host(_)
        | AccessSubject::Method(_)
        | AccessSubject::Path(_)
        | AccessSubject::Header(..)
        | AccessSubject::Port(_) => true,
        AccessSubject::PeerAddress(_) | AccessSubject::ClientAddress(_) => request.client.is_some(),
        // Who is not asked for a certificate has shown none.
        AccessSubject::Principal(_)
        | AccessSubject::Namespace(_)
        | AccessSubject::ServiceAccount(_) => {
            let tls = listener.tls.as_ref();
            tls.is_none_or(|tls| tls.client_auth == ClientAuth::NotAsked)
        }
        AccessSubject::ServerName(_) => {
            !listener.protocol.is_tls() || exchange.passed_name.is_some()
        }
        // Of who asks it is decided before.
        AccessSubject::RequestPrincipal(_)
        | AccessSubject::Claim(..)
        | AccessSubject::OwnAddress(_)
        | AccessSubject::Unknown => false,
    }
}

fn tell(considered: &ConsideredPolicy<'_>) -> ExplainedPolicy {
    let policy = considered.policy;
    ExplainedPolicy {
        policy: format!("AuthorizationPolicy/{}/{}", policy.namespace, policy.name),
        action: policy.action.as_str(),
        enforced: policy.enforcement == Enforcement::Enforced,
        outcome: match &considered.outcome {
            PolicyOutcome::Matches(rule) => format!("rule {rule} matches"),
            PolicyOutcome::DoesNot => "no rule matches".to_owned(),
            PolicyOutcome::Depends(on) => format!("depends on {}", on.join(", ")),
        },
    }
}
