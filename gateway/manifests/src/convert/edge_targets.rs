//! Whether what EdgePolicies are for exists.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::codes;
use crate::kinds::{EdgePolicy, PolicyTarget, TargetKind};

/// Reports targets that are missing, and sections that theirs do not have.
pub(crate) fn check_targets(objects: &Objects, findings: &mut Findings) {
    for policy in &objects.edge_policies {
        for target in &policy.targets {
            let sections = sections(objects, policy, target);
            if let Some(problem) = problem(policy, target, sections, &objects.broken) {
                report(policy, target, problem, findings);
            }
        }
    }
}

enum Problem {
    NoObject,
    NoSection(Arc<str>, Vec<Arc<str>>),
}

/// The names of a target's servers or rules; `None` where there is no such object.
fn sections(
    objects: &Objects,
    policy: &EdgePolicy,
    target: &PolicyTarget,
) -> Option<Vec<Arc<str>>> {
    let is_it = |id: &ObjectId| {
        id.namespace == policy.metadata.id.namespace && target.means(target.kind, id)
    };
    match target.kind {
        TargetKind::Gateway => {
            let found = objects.gateways.iter().find(|gateway| is_it(&gateway.metadata.id))?;
            Some(found.servers.iter().map(|server| server.name.clone()).collect())
        }
        TargetKind::ListenerSet => {
            let found = objects.listener_sets.iter().find(|set| is_it(&set.metadata.id))?;
            Some(found.listeners.iter().map(|listener| listener.name.clone()).collect())
        }
        TargetKind::VirtualService => {
            let services = &objects.virtual_services;
            let found = services.iter().find(|service| is_it(&service.metadata.id))?;
            let names = found.rules.iter().filter_map(|rule| rule.name.as_deref());
            Some(names.map(Into::into).collect())
        }
        TargetKind::HttpRoute | TargetKind::GrpcRoute => {
            let found = objects.http_routes.iter().find(|route| is_it(&route.metadata.id))?;
            Some(found.rules.iter().filter_map(|rule| rule.name.clone()).collect())
        }
    }
}

fn problem(
    policy: &EdgePolicy,
    target: &PolicyTarget,
    sections: Option<Vec<Arc<str>>>,
    broken: &HashSet<ObjectId>,
) -> Option<Problem> {
    match (sections, &target.section) {
        (None, _) => {
            let namespace = &policy.metadata.id.namespace;
            let id = ObjectId::new(target.kind.as_str(), namespace.clone(), target.name.clone());
            (!broken.contains(&id)).then_some(Problem::NoObject)
        }
        (Some(known), Some(wanted)) if !known.contains(wanted) => {
            Some(Problem::NoSection(wanted.clone(), known))
        }
        _ => None,
    }
}

fn report(policy: &EdgePolicy, target: &PolicyTarget, problem: Problem, findings: &mut Findings) {
    let object = &policy.metadata.id;
    let (kind, name) = (target.kind.as_str(), &target.name);
    let (part, message, help) = match problem {
        Problem::NoObject => (
            "name",
            format!("there is no {kind} `{}/{name}`", object.namespace),
            "write it, or correct the name; a target is looked for in the policy's own namespace"
                .to_owned(),
        ),
        Problem::NoSection(section, known) => {
            let part = match target.kind {
                TargetKind::Gateway => "server",
                TargetKind::ListenerSet => "listener",
                TargetKind::VirtualService => "http rule",
                TargetKind::HttpRoute | TargetKind::GrpcRoute => "rule",
            };
            let known = match known.join(", ") {
                known if known.is_empty() => "it has none with a name".to_owned(),
                known => format!("it has: {known}"),
            };
            ("sectionName", format!("{kind} `{name}` has no {part} `{section}`"), known)
        }
    };
    let field = format!("{}.{part}", target.field);
    let spot = Spot { object, field, origin: &target.origin };
    findings.error(codes::TARGET_MISSING, spot, message, &help);
}
