//! TLSRoutes and TCPRoutes to rules for connections.

use std::sync::Arc;

use portcullis_model::{ListenerProtocol, TcpDestination, TcpRoute, TcpRule};

use super::super::findings::{Findings, Spot};
use super::super::open::OpenGateway;
use super::super::routes::{Lookup, Lost};
use super::attach::AskingRoute;
use super::backends::Sender;
use super::served::{Place, Precedence};
use super::verdict::RouteVerdict;
use super::{Attached, GatewayApi, Refusal};
use crate::codes;
use crate::kinds::{BackendRef, RouteKind, StreamRoute};

const LOSS: &str = "its share of the connections is closed";
const LOST: &str = "connections to it are closed";

impl GatewayApi<'_> {
    /// Binds routes for connections, given in creation order.
    pub(in crate::convert) fn bind_streams(
        &mut self,
        routes: &[Arc<StreamRoute>],
        lookup: Lookup<'_>,
        gateways: &[OpenGateway],
        findings: &mut Findings,
    ) {
        let lookup = Lookup { lost: Lost::Connections, ..lookup };
        for route in routes {
            let verdict = self.bind_stream(route, lookup, gateways, findings);
            self.verdicts.push(verdict);
        }
    }

    fn bind_stream(
        &mut self,
        route: &StreamRoute,
        lookup: Lookup<'_>,
        gateways: &[OpenGateway],
        findings: &mut Findings,
    ) -> RouteVerdict {
        let asking = AskingRoute {
            metadata: &route.metadata,
            kind: route.kind,
            parents: &route.parents,
            hostnames: &route.hostnames,
            hostnames_origin: &route.hostnames_origin,
        };
        let Attached { places, parents } = self.parents.attach(asking, findings);
        let mut unresolved = None;
        let (route_id, grants) = (&route.metadata.id, &self.grants);
        let sender = Sender { route: route_id, lookup, grants, loss: LOSS, lost: LOST };
        let rule = Arc::new(rule_of(route, sender, &mut unresolved, findings));
        for (place, hosts) in places {
            let precedence = Precedence::new([0; 5], route.metadata.clone(), (0, 0));
            let server_names = if has_names(gateways, &place) { hosts } else { Vec::new() };
            let rule = TcpRoute { server_names, addresses: None, rule: rule.clone() };
            self.served.add_connections(&place, precedence, rule);
        }
        RouteVerdict::new(&route.metadata, parents, unresolved)
    }
}

/// Whether a server knows the names that its clients ask for.
fn has_names(gateways: &[OpenGateway], (index, name): &Place) -> bool {
    let servers = gateways.get(*index).map(|open| open.servers.as_slice()).unwrap_or_default();
    let server = servers.iter().find(|server| server.name == *name);
    server.is_some_and(|server| server.protocol == ListenerProtocol::Tls)
}

fn rule_of(
    route: &StreamRoute,
    sender: Sender<'_>,
    unresolved: &mut Option<Refusal>,
    findings: &mut Findings,
) -> TcpRule {
    let written = &route.rule;
    let id = &route.metadata.id;
    let destination = |backend: &BackendRef| TcpDestination {
        cluster: sender.resolve(backend, unresolved, findings),
        weight: backend.weight,
    };
    let mut destinations: Vec<TcpDestination> = written.backends.iter().map(destination).collect();
    if destinations.iter().all(|destination| destination.weight == 0) {
        report_no_weight(route, findings);
        // Nothing has a weight, so nothing may be sent anywhere.
        for destination in &mut destinations {
            destination.cluster.port = 0;
            destination.weight = 1;
        }
    }
    let name = match &written.name {
        Some(name) => format!("{id}/rules[{name}]"),
        None => format!("{id}/rules[0]"),
    };
    TcpRule { id: name.into(), origin: written.origin.clone(), destinations }
}

fn report_no_weight(route: &StreamRoute, findings: &mut Findings) {
    let kind = if route.kind == RouteKind::Tls { "TLSRoute" } else { "TCPRoute" };
    let field = "spec.rules[0].backendRefs".to_owned();
    let spot = Spot { object: &route.metadata.id, field, origin: &route.rule.origin };
    let message = format!("no backend of the {kind} has a weight, so its connections are closed");
    findings.warning(codes::NO_EFFECT, spot, message, "give a backend a weight of 1 or more");
}
