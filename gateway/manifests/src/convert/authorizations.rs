//! Which `AuthorizationPolicy`s cover a listener.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_filters::{AccessAction, AccessPolicy, AccessTest, Authorization};
use portcullis_model::Listener;

use super::coverage::Attachment;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::AuthorizationPolicy;

/// Gives each listener the policies that cover it. Listeners that are covered by the same share them.
pub(crate) fn authorize_requests(
    policies: &[Arc<AuthorizationPolicy>],
    attachment: &Attachment<'_>,
    listeners: &mut [(usize, Listener)],
    findings: &mut Findings,
) {
    let mut covering: Vec<Numbers> = vec![Numbers::default(); listeners.len()];
    for (number, policy) in policies.iter().enumerate() {
        let (covered, gateways) = attachment.covered(&policy.coverage);
        let passes_on = |(_, listener): &&(usize, Listener)| !listener.protocol.is_http();
        let first = covered.iter().filter_map(|index| listeners.get(*index)).find(passes_on);
        first.into_iter().for_each(|(_, listener)| warn_of_requests(policy, listener, findings));
        for listener in covered {
            if let Some(covering) = covering.get_mut(listener) {
                match attachment.is_at_home(listener, &policy.metadata.id.namespace) {
                    true => covering.own.push(number),
                    false => covering.foreign.push(number),
                }
            }
        }
        if gateways.is_empty() && attachment.is_whole() {
            report_unused(policy, findings);
        }
    }
    let mut known: Vec<(Numbers, Covering)> = Vec::new();
    for ((_, listener), covering) in listeners.iter_mut().zip(covering) {
        if covering == Numbers::default() {
            continue;
        }
        let shared = known.iter().find(|(numbers, _)| *numbers == covering);
        let shared = match shared {
            Some((_, shared)) => shared.clone(),
            None => {
                let made = Covering::build(&covering, policies);
                known.push((covering, made.clone()));
                made
            }
        };
        listener.authorization = Some(match listener.protocol.is_http() {
            true => shared.of_requests,
            false => shared.of_connections,
        });
    }
}

/// The places of the policies that cover a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Numbers {
    own: Vec<usize>,
    /// Those that are there for a Gateway of another namespace, which shares the listener's host.
    foreign: Vec<usize>,
}

/// The policies that cover a listener.
#[derive(Clone)]
struct Covering {
    of_requests: Arc<Authorization>,
    /// What is left of them where bytes are passed on.
    of_connections: Arc<Authorization>,
}

impl Covering {
    /// Whoever shares a host may refuse more, but lets nothing pass that its owner refuses.
    fn build(numbers: &Numbers, policies: &[Arc<AuthorizationPolicy>]) -> Self {
        let of = |numbers: &[usize]| {
            let objects = numbers.iter().filter_map(|number| policies.get(*number));
            objects.map(|object| object.policy.clone()).collect::<Vec<_>>()
        };
        let mut by_namespace: BTreeMap<Arc<str>, Vec<AccessPolicy>> = BTreeMap::new();
        for policy in of(&numbers.foreign) {
            by_namespace.entry(policy.namespace.clone()).or_default().push(policy);
        }
        let foreign = by_namespace.into_values().map(Authorization::new);
        let whole = foreign.fold(Authorization::new(of(&numbers.own)), Authorization::and);
        let of_connections = Arc::new(whole.of_connections());
        Covering { of_requests: Arc::new(whole), of_connections }
    }
}

/// Warns of a policy that asks of the connections of a listener what only requests have.
fn warn_of_requests(object: &AuthorizationPolicy, listener: &Listener, findings: &mut Findings) {
    let policy = &object.policy;
    let asks = policy.rules.iter().any(|rule| rule.tests().any(AccessTest::is_of_requests));
    if !asks || !object.enforces() {
        return;
    }
    let effect = match policy.action {
        AccessAction::Allow => {
            "so its rules on them match nothing there, and connections are closed"
        }
        _ => "so its conditions on them count as fulfilled there, and connections are closed",
    };
    let message = format!(
        "server `{}` of {} passes bytes on and knows no requests, {effect}",
        listener.server, listener.gateway
    );
    let (id, origin) = (&object.metadata.id, &object.metadata.origin);
    let spot = Spot { object: id, field: "spec.rules".to_owned(), origin };
    let help = "name the servers that it is for in `targetRefs` with `sectionName`, or their ports in `to.operation.ports`";
    findings.warning(codes::CONDITION_UNDECIDABLE, spot, message, help);
}

fn report_unused(policy: &AuthorizationPolicy, findings: &mut Findings) {
    let (id, origin) = (&policy.metadata.id, &policy.metadata.origin);
    let spot = Spot { object: id, field: String::new(), origin };
    let message = "it covers no Gateway, so no request is held against it".to_owned();
    let help = "correct `selector` or `targetRefs`, or its namespace: that of the Gateway, of `--namespace` or `istio-system`; or leave it for the workloads that it is meant for";
    findings.warning(codes::POLICY_UNATTACHED, spot, message, help);
}
