//! HTTPRoutes and GRPCRoutes that want the same host of a listener: only one kind can have it, and the older route decides.

use portcullis_message::HostPattern;
use portcullis_model::ObjectId;

use super::attach::AskingRoute;
use super::parents::{Parent, Refusal};
use crate::kinds::RouteKind;

/// The hosts of a listener that routes have, with their kind.
#[derive(Default)]
pub(in crate::convert) struct Claims(Vec<Claim>);

struct Claim {
    kind: RouteKind,
    host: HostPattern,
    route: ObjectId,
}

impl Claims {
    /// Notes that a route has these hosts.
    pub(super) fn add(&mut self, route: AskingRoute<'_>, hosts: &[HostPattern]) {
        let claim = |host: &HostPattern| Claim {
            kind: route.kind,
            host: host.clone(),
            route: route.metadata.id.clone(),
        };
        self.0.extend(hosts.iter().map(claim));
    }

    /// A route of another kind that has one of these hosts, in part or whole.
    fn rival(&self, kind: RouteKind, hosts: &[HostPattern]) -> Option<(&ObjectId, &HostPattern)> {
        let rival = |claim: &&Claim| {
            claim.kind != kind && hosts.iter().any(|host| claim.host.intersect(host).is_some())
        };
        self.0.iter().find(rival).map(|claim| (&claim.route, &claim.host))
    }
}

/// Takes away the listeners at which a route of another kind has some of the hosts; a refusal where none is left.
pub(super) fn without_rivals(
    route: AskingRoute<'_>,
    parent: &Parent,
    mut taken: Vec<(usize, Vec<HostPattern>)>,
) -> Result<Vec<(usize, Vec<HostPattern>)>, Refusal> {
    let mut refusal = None;
    taken.retain(|(number, hosts)| {
        let listener = parent.listeners.get(*number);
        let rival = listener.and_then(|listener| listener.claims.rival(route.kind, hosts));
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
