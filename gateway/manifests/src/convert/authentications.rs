//! Which `RequestAuthentication`s cover a listener, and all their rules in one list.

use std::sync::Arc;

use portcullis_model::{Authentication, Listener};

use super::coverage::Attachment;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::RequestAuthentication;

/// Gives each listener the rules of all objects that cover it. Listeners that are covered by the same share them.
pub(crate) fn authenticate_requests(
    objects: &[Arc<RequestAuthentication>],
    attachment: &Attachment<'_>,
    listeners: &mut [(usize, Listener)],
    findings: &mut Findings,
) {
    let mut covering: Vec<Vec<usize>> = vec![Vec::new(); listeners.len()];
    for (number, object) in objects.iter().enumerate() {
        let (covered, gateways) = attachment.covered(&object.coverage);
        for listener in covered {
            let is_own = attachment.is_at_home(listener, &object.metadata.id.namespace);
            if !is_own && let Some((_, listener)) = listeners.get(listener) {
                report_foreign(object, listener, findings);
            } else if let Some(covering) = covering.get_mut(listener) {
                covering.push(number);
            }
        }
        if gateways.is_empty() && attachment.is_whole() {
            report_unused(object, findings);
        }
    }
    let mut known: Vec<(Vec<usize>, Arc<Authentication>)> = Vec::new();
    for ((_, listener), covering) in listeners.iter_mut().zip(covering) {
        if covering.is_empty() || !listener.protocol.is_http() {
            continue;
        }
        let shared = known.iter().find(|(numbers, _)| *numbers == covering);
        let authentication = match shared {
            Some((_, shared)) => shared.clone(),
            None => {
                let made = Arc::new(merge(&covering, objects));
                known.push((covering, made.clone()));
                made
            }
        };
        listener.authentication = (!authentication.rules.is_empty()).then_some(authentication);
    }
}

fn merge(numbers: &[usize], objects: &[Arc<RequestAuthentication>]) -> Authentication {
    let place = |object: &Arc<RequestAuthentication>| {
        (object.metadata.id.clone(), object.metadata.origin.clone())
    };
    let covering = || numbers.iter().filter_map(|number| objects.get(*number));
    Authentication {
        objects: covering().map(place).collect(),
        rules: covering().flat_map(|object| object.rules.iter().cloned()).collect(),
    }
}

/// By keys of its own, whoever shares a host could sign what its owner believes.
fn report_foreign(object: &RequestAuthentication, listener: &Listener, findings: &mut Findings) {
    let (id, origin) = (&object.metadata.id, &object.metadata.origin);
    let spot = Spot { object: id, field: String::new(), origin };
    let message = format!(
        "a Gateway that it covers shares a host with {}, which is older and of another namespace, so no token is verified by it there",
        listener.gateway
    );
    let help = "give the Gateway a host of its own, or have both in one namespace";
    findings.error(codes::PROTECTION_NOT_SERVED, spot, message, help);
}

fn report_unused(object: &RequestAuthentication, findings: &mut Findings) {
    let (id, origin) = (&object.metadata.id, &object.metadata.origin);
    let spot = Spot { object: id, field: String::new(), origin };
    let message = "it covers no Gateway, so no request is asked for its tokens".to_owned();
    let help = "correct `selector` or `targetRefs`, or its namespace: that of the Gateway, of `--namespace` or `istio-system`; or leave it for the workloads that it is meant for";
    findings.warning(codes::POLICY_UNATTACHED, spot, message, help);
}
