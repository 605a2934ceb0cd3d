//! Hosts on which a raw prefix of a VirtualService stands beside prefixes of whole segments of another language.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, ObjectId, Origin, PathMatch, Rule};

use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use crate::codes;

/// A host of a socket.
type Host<'l> = (u16, Option<IpAddr>, &'l HostPattern);

/// Reports each VirtualService once whose prefix takes more than the same prefix in another language would.
pub(crate) fn report_prefix_semantics(
    listeners: &[(usize, Listener)],
    gateways: &[OpenGateway],
    findings: &mut Findings,
) {
    let mut segments: HashMap<Host<'_>, &Arc<Rule>> = HashMap::new();
    // VirtualServices have none, and their listeners have nothing else.
    let is_other = |(index, _): &&(usize, Listener)| {
        gateways.get(*index).is_none_or(|open| !open.gateway.is_of_istio())
    };
    for (host, rule) in rules(listeners.iter().filter(is_other)) {
        if rule.matches.iter().any(|each| is_of_segments(each.path.as_ref())) {
            segments.entry(host).or_insert(rule);
        }
    }
    if segments.is_empty() {
        return;
    }
    let mut reported = HashSet::new();
    for (host, rule) in rules(listeners.iter()) {
        let Some(other) = segments.get(&host) else { continue };
        let Some((prefix, origin)) = raw_prefix(rule) else { continue };
        let Some(object) = object_of(rule) else { continue };
        if !reported.insert(object.clone()) {
            continue;
        }
        let message = format!(
            "`{prefix}` takes `{prefix}bar` too, while {} at {} on the same host takes whole segments",
            other.id, other.origin
        );
        let help =
            format!("where segments are meant, write `prefix: {prefix}/` and `exact: {prefix}`");
        let spot = Spot { object: &object, field: field_of(rule), origin };
        findings.warning(codes::PREFIX_SEMANTICS, spot, message, &help);
    }
}

fn rules<'l>(
    listeners: impl Iterator<Item = &'l (usize, Listener)>,
) -> impl Iterator<Item = (Host<'l>, &'l Arc<Rule>)> {
    listeners.flat_map(|(_, listener)| {
        listener.virtual_hosts.iter().flat_map(|virtual_host| {
            let host = (listener.port, listener.bind, &virtual_host.host);
            virtual_host.rules.iter().map(move |rule| (host, rule))
        })
    })
}

fn is_of_segments(path: Option<&PathMatch>) -> bool {
    matches!(path, Some(PathMatch::Segments(prefix)) if !prefix.is_empty())
}

/// The first prefix of a rule that does not end with a slash.
fn raw_prefix(rule: &Rule) -> Option<(&str, &Origin)> {
    rule.matches.iter().find_map(|each| match &each.path {
        Some(PathMatch::Prefix(prefix)) if !prefix.ends_with('/') => {
            Some((&**prefix, each.origin.as_ref().unwrap_or(&rule.origin)))
        }
        _ => None,
    })
}

/// The VirtualService that a rule is of, by its id `VirtualService/ns/name/http[2]`.
fn object_of(rule: &Rule) -> Option<ObjectId> {
    let mut parts = rule.id.splitn(4, '/');
    let kind = parts.next().filter(|kind| *kind == "VirtualService")?;
    Some(ObjectId::new(kind, parts.next()?, parts.next()?))
}

fn field_of(rule: &Rule) -> String {
    let last = rule.id.rsplit('/').next().unwrap_or_default();
    let number = last.strip_prefix("http[").and_then(|rest| rest.strip_suffix(']'));
    match number.and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => format!("spec.http[{number}]"),
        None => "spec.http".to_owned(),
    }
}
