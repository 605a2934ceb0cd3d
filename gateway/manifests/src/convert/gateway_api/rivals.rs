//! HTTPRoutes and GRPCRoutes that want the same host of a listener: only one kind can have it, and the older route decides.

use portcullis_message::HostPattern;

use super::parent::{Parent, Refusal};
use crate::kinds::RouteKind;

/// Takes away the listeners at which a route of another kind has some of the hosts; a refusal where none is left.
pub(super) fn without_rivals(
    kind: RouteKind,
    parent: &Parent,
    mut taken: Vec<(usize, Vec<HostPattern>)>,
) -> Result<Vec<(usize, Vec<HostPattern>)>, Refusal> {
    let mut refusal = None;
    taken.retain(|(number, hosts)| {
        let listener = parent.listeners.get(*number);
        let rival = listener.and_then(|listener| listener.claims.rival(kind, hosts));
        let Some((winner, host)) = rival else { return true };
        let message = format!(
            "{winner} has the host `{host}` of {}, and a host has routes of one kind alone",
            parent.id
        );
        refusal.get_or_insert(Refusal { reason: "HostnameConflict", message });
        false
    });
    match refusal {
        Some(refusal) if taken.is_empty() => Err(refusal),
        _ => Ok(taken),
    }
}
