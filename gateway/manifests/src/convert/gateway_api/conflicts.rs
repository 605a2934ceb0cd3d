//! Listeners of one Gateway that cannot be told from each other.

use portcullis_message::HostPattern;
use portcullis_model::ListenerProtocol;

use super::super::findings::{Findings, Spot};
use super::parent::{Conflict, Parent};
use crate::codes;
use crate::kinds::ApiListener;

/// Marks the listeners of a Gateway, which comes first, and of its ListenerSets, which come in their order. Those of one
/// object that conflict are all marked; else the one whose object comes later.
pub(super) fn mark_conflicts(parents: &mut [Parent], findings: &mut Findings) {
    let all: Vec<(usize, usize, ApiListener)> = parents
        .iter()
        .enumerate()
        .flat_map(|(owner, parent)| {
            let listeners = parent.listeners.iter().enumerate();
            listeners.map(move |(index, listener)| (owner, index, listener.written.clone()))
        })
        .collect();
    for (owner, index, listener) in &all {
        let mut before = all.iter().filter(|(other, at, _)| {
            (other, at) != (owner, index)
                && (other == owner || other < owner && !is_marked(parents, *other, *at))
        });
        let found = before.find_map(|(_, _, other)| Some((conflict(listener, other)?, other)));
        let Some((conflict, other)) = found else { continue };
        let Some(parent) = parents.get_mut(*owner) else { continue };
        report(parent, listener, other, conflict, findings);
        if let Some(listener) = parent.listeners.get_mut(*index) {
            listener.conflict = Some(conflict);
        }
    }
}

fn is_marked(parents: &[Parent], owner: usize, index: usize) -> bool {
    let listener = parents.get(owner).and_then(|parent| parent.listeners.get(index));
    listener.is_some_and(|listener| listener.conflict.is_some())
}

fn conflict(one: &ApiListener, other: &ApiListener) -> Option<Conflict> {
    let (protocol, others) = (one.protocol?, other.protocol?);
    if one.port != other.port {
        return None;
    }
    let same_host = one.hostname == other.hostname;
    match (protocol == others, protocol.is_tls() && others.is_tls()) {
        (true, _) if protocol == ListenerProtocol::Tcp => Some(Conflict::Protocol),
        (true, _) => same_host.then_some(Conflict::Hostname),
        // The server name tells them apart.
        (false, true) => same_host.then_some(Conflict::Protocol),
        (false, false) => Some(Conflict::Protocol),
    }
}

fn report(
    parent: &Parent,
    listener: &ApiListener,
    other: &ApiListener,
    conflict: Conflict,
    findings: &mut Findings,
) {
    let host = match &listener.hostname {
        HostPattern::Any => "every host".to_owned(),
        host => format!("`{host}`"),
    };
    let (part, message) = match conflict {
        Conflict::Protocol => (
            "protocol",
            format!(
                "port {} cannot speak this here: the listener `{}` at {} speaks another protocol on it",
                listener.port, other.name, other.origin
            ),
        ),
        Conflict::Hostname => (
            "hostname",
            format!(
                "the listener `{}` at {} takes {host} on port {} too",
                other.name, other.origin, listener.port
            ),
        ),
    };
    let field = format!("spec.listeners[{}].{part}", listener.index);
    let spot = Spot { object: &parent.id, field, origin: &listener.origin };
    let help =
        "give them different ports or hostnames; until then nothing listens for this listener";
    findings.error(codes::PROTOCOL_CONFLICT, spot, message, help);
}
