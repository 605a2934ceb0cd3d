//! Gateway API: its Gateways and ListenerSets as servers like any other's, and its routes bound to them.

mod attach;
mod backend_certificates;
mod backends;
mod claims;
mod classes;
mod clients;
mod conditions;
mod conflicts;
mod grants;
mod http_routes;
mod listeners;
mod parent;
mod parent_status;
mod parents;
mod places;
mod policy_status;
mod references;
mod rivals;
mod route_status;
mod rules;
mod served;
mod stream_routes;
mod verdict;

use portcullis_model::Listener;

use super::backend_tls::PolicyVerdict;
use super::findings::Findings;
use super::gather::Objects;
use super::open::OpenGateway;
use crate::status::ObjectStatus;

pub(super) use self::attach::Attached;
pub(super) use self::backend_certificates::BackendCertificates;
pub(super) use self::grants::Grants;
pub(super) use self::parent::Refusal;
pub(super) use self::parents::Parents;
pub(super) use self::rules::RuleParts;
pub(super) use self::served::ServedRoutes;
pub(super) use self::verdict::RouteVerdict;

/// Makes of our Gateways and their ListenerSets Gateways such as all languages share, which join the others.
pub(super) fn join_gateways(objects: &mut Objects, findings: &mut Findings) -> Parents {
    let grants = Grants::new(&objects.reference_grants);
    let (parents, gateways) = parents::build(objects, &grants, findings);
    objects.gateways.extend(gateways);
    objects.gateways.sort_by(|one, other| one.metadata.created.cmp(&other.metadata.created));
    parents
}

/// What Gateway API's objects come to, apart from their routes.
pub(super) struct GatewayApi<'o> {
    /// The Gateways and ListenerSets.
    pub(super) parents: Parents,
    /// Who may refer to what.
    pub(super) grants: Grants<'o>,
    /// What its routes give to servers.
    pub(super) served: ServedRoutes,
    /// What became of its routes.
    pub(super) verdicts: Vec<RouteVerdict>,
}

impl<'o> GatewayApi<'o> {
    /// With these parents, of which the Gateways that listen got their sockets.
    pub(super) fn new(
        mut parents: Parents,
        objects: &'o Objects,
        gateways: &[OpenGateway],
    ) -> Self {
        places::place(&mut parents, gateways);
        let grants = Grants::new(&objects.reference_grants);
        GatewayApi { parents, grants, served: ServedRoutes::default(), verdicts: Vec::new() }
    }

    /// What became of all its objects.
    pub(super) fn status(
        &self,
        objects: &Objects,
        policies: &[PolicyVerdict<'_>],
    ) -> Vec<ObjectStatus> {
        let mut all = parent_status::status_of_parents(objects, &self.parents);
        all.extend(self.verdicts.iter().filter_map(route_status::status_of_route));
        all.extend(policy_status::status_of_policies(policies, objects, &self.verdicts));
        all
    }

    /// Gives listeners, each with the index of its Gateway, what routes were bound to them.
    pub(super) fn route(&mut self, listeners: &mut [(usize, Listener)], findings: &mut Findings) {
        self.served.fill(listeners, findings);
    }
}
