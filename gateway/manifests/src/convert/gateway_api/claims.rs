//! Which routes have which hosts of a listener.

use std::collections::BTreeMap;

use portcullis_message::HostPattern;
use portcullis_model::ObjectId;

use crate::kinds::RouteKind;

/// The hosts of a listener that routes have, each with the first of its routes, by their kind.
#[derive(Default)]
pub(in crate::convert) struct Claims(Vec<(RouteKind, BTreeMap<HostPattern, ObjectId>)>);

impl Claims {
    /// Notes that a route has these hosts.
    pub(super) fn add(&mut self, kind: RouteKind, route: &ObjectId, hosts: &[HostPattern]) {
        let known = self.0.iter().position(|(known, _)| *known == kind);
        let index = known.unwrap_or_else(|| {
            self.0.push((kind, BTreeMap::new()));
            self.0.len() - 1
        });
        let Some((_, claimed)) = self.0.get_mut(index) else { return };
        for host in hosts {
            claimed.entry(host.clone()).or_insert_with(|| route.clone());
        }
    }

    /// A route of another kind that has one of these hosts, in part or whole. As routes of both kinds are rare at one
    /// listener, this is nearly always cheap.
    pub(super) fn rival(
        &self,
        kind: RouteKind,
        hosts: &[HostPattern],
    ) -> Option<(&ObjectId, &HostPattern)> {
        let others = self.0.iter().filter(|(other, _)| *other != kind);
        let mut claims = others.flat_map(|(_, claimed)| claimed);
        let found =
            claims.find(|(claim, _)| hosts.iter().any(|host| claim.intersect(host).is_some()));
        found.map(|(host, route)| (route, host))
    }
}
