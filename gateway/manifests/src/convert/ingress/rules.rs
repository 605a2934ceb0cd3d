//! One path of an Ingress as a rule.

use bytes::Bytes;
use http::StatusCode;
use portcullis_filters::{DirectResponse, Pattern};
use portcullis_message::HostPattern;
use portcullis_model::{Action, RequestMatch, Rule, StringMatch};

use super::super::findings::Findings;
use super::super::routes::Lookup;
use super::backends::destination;
use crate::kinds::{Ingress, IngressBackend, IngressPath, Weight};

/// The rule of a path. `*.x` takes a single label here, which the rule looks at itself.
pub(super) fn of_path(
    ingress: &Ingress,
    host: &HostPattern,
    path: &IngressPath,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Rule {
    let id = format!("{}/{host}{}", ingress.metadata.id, path.text);
    let matches = vec![RequestMatch {
        origin: Some(path.origin.clone()),
        path: Some(path.path.clone()),
        ..RequestMatch::default()
    }];
    let rule =
        Rule::new(id.into(), path.origin.clone(), action(ingress, &path.backend, lookup, findings));
    Rule { matches, ..rule }
}

/// The rule of `defaultBackend`.
pub(super) fn of_default(
    ingress: &Ingress,
    backend: &IngressBackend,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Rule {
    let id = format!("{}/defaultBackend", ingress.metadata.id);
    Rule::new(id.into(), backend.origin.clone(), action(ingress, backend, lookup, findings))
}

/// The same rule for the hosts that have a single label before a suffix.
pub(super) fn for_one_label(rule: &Rule, suffix: &str) -> Rule {
    for_authority(rule, &format!("[^.]+{}", suffix.replace('.', "\\.")))
}

/// The same rule for the hosts that have more than one label before a suffix.
pub(super) fn for_more_labels(rule: &Rule, suffix: &str) -> Rule {
    for_authority(rule, &format!(".+\\..+{}", suffix.replace('.', "\\.")))
}

fn for_authority(rule: &Rule, pattern: &str) -> Rule {
    let pattern = Pattern::parse(pattern).ok();
    let mut rule = rule.clone();
    if rule.matches.is_empty() {
        rule.matches.push(RequestMatch::default());
    }
    for condition in &mut rule.matches {
        condition.never |= pattern.is_none();
        condition.authority = pattern.clone().map(StringMatch::Pattern);
    }
    rule
}

fn action(
    ingress: &Ingress,
    backend: &IngressBackend,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Action {
    // Always looked up, so that what is wrong with it is said.
    let destination = destination(&ingress.metadata.id, backend, lookup, findings);
    if ingress.foreign.iter().any(|annotation| annotation.weight == Weight::Protection) {
        let body = Bytes::from_static(b"protection is asked for that is not served");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Action::DirectResponse(DirectResponse { status, body });
    }
    let destinations = vec![destination];
    Action::Forward { destinations, path_rewrite: None, authority_rewrite: None }
}
