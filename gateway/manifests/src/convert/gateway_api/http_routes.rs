//! HTTPRoutes, bound to listeners.

use std::sync::Arc;

use super::super::findings::Findings;
use super::GatewayApi;
use super::attach::{AskingRoute, Attached};
use super::backends::Sender;
use super::rules::{RouteFaults, RuleParts, WrittenRule};
use super::verdict::RouteVerdict;
use crate::kinds::{HttpRoute, HttpRouteRule};
use crate::metadata::Metadata;

const LOSS: &str = "its share of the requests is answered with 500";
const LOST: &str = "requests to it are answered with 503";

impl GatewayApi<'_> {
    /// Binds HTTPRoutes, given in creation order.
    pub(in crate::convert) fn bind_http(
        &mut self,
        routes: &[Arc<HttpRoute>],
        parts: &mut RuleParts<'_, '_>,
        findings: &mut Findings,
    ) {
        // The oldest first, as of two that cannot be side by side it stays.
        let mut routes: Vec<&Arc<HttpRoute>> = routes.iter().collect();
        routes.sort_by(|one, other| {
            let (one, other) = (&one.metadata, &other.metadata);
            let name =
                |metadata: &Metadata| (metadata.id.namespace.clone(), metadata.id.name.clone());
            one.created.by_age(&other.created).then_with(|| name(one).cmp(&name(other)))
        });
        for route in routes {
            let verdict = self.bind_http_route(route, parts, findings);
            self.verdicts.push(verdict);
        }
    }

    fn bind_http_route(
        &mut self,
        route: &HttpRoute,
        parts: &mut RuleParts<'_, '_>,
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
        // Who asks for nothing of ours is none of our business.
        if parents.is_empty() {
            return RouteVerdict::new(&route.metadata, parents, None);
        }
        let mut faults = RouteFaults::default();
        let sender = Sender {
            route: &route.metadata.id,
            lookup: parts.lookup,
            grants: &self.grants,
            loss: LOSS,
            lost: LOST,
        };
        let names: Vec<&str> = route.rules.iter().filter_map(|rule| rule.name.as_deref()).collect();
        let mut rules = Vec::new();
        for rule in &route.rules {
            let written = written(route, rule, &names);
            rules.extend(written.build(sender, parts, &mut faults, findings));
        }
        for (place, hosts) in places {
            for host in hosts {
                self.served.add(&place, &host, &rules);
            }
        }
        let verdict = RouteVerdict::new(&route.metadata, parents, faults.unresolved.clone());
        verdict.with_unserved(faults.unserved.clone(), faults.extent(route.rules.len()))
    }
}

fn written<'w>(
    route: &'w HttpRoute,
    rule: &'w HttpRouteRule,
    names: &'w [&'w str],
) -> WrittenRule<'w> {
    WrittenRule {
        kind: route.kind,
        route: &route.metadata,
        names,
        origin: &rule.origin,
        index: rule.index,
        name: rule.name.as_deref(),
        matches: &rule.matches,
        specificities: &rule.specificities,
        filters: &rule.filters,
        backends: &rule.backends,
        times: &rule.times,
    }
}
