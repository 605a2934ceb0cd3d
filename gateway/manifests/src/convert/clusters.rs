//! Clusters: every port and subset of every service.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_model::{Cluster, ClusterName, Endpoint};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use super::services::{EndpointLabels, KnownPort, KnownService, Services};
use crate::codes;
use crate::kinds::{ConnectionPool, DestinationRule, Subset, UpstreamTls};

/// The clusters by name.
pub(crate) type Clusters = BTreeMap<ClusterName, Arc<Cluster>>;

/// Makes the clusters.
pub(crate) fn build_clusters(
    objects: &Objects,
    services: &Services,
    findings: &mut Findings,
) -> Clusters {
    let rules = Rules::sort(objects, services, findings);
    let mut clusters = Clusters::new();
    for service in services.iter() {
        let rules = rules.of(&service.host);
        // The first rule with a policy has it; subsets of all count.
        let pool = rules.iter().find_map(|rule| rule.policy.connection_pool.as_ref());
        let tls = |number| rules.iter().find_map(|rule| rule.policy.tls(number));
        for port in &service.ports {
            add(&mut clusters, service, port, None, Policy { pool, tls: tls(port.number) });
        }
        let mut named: Vec<&str> = Vec::new();
        for rule in &rules {
            for subset in &rule.subsets {
                if named.contains(&&*subset.name) {
                    continue;
                }
                named.push(&subset.name);
                check_subset(service, rule, subset, findings);
                let own = &subset.policy;
                let pool = own.connection_pool.as_ref().or(pool);
                for port in &service.ports {
                    let tls = own.tls(port.number).or_else(|| tls(port.number));
                    add(&mut clusters, service, port, Some(subset), Policy { pool, tls });
                }
            }
        }
    }
    clusters
}

/// What DestinationRules say on a cluster.
struct Policy<'p> {
    pool: Option<&'p ConnectionPool>,
    tls: Option<UpstreamTls>,
}

fn add(
    clusters: &mut Clusters,
    service: &KnownService,
    port: &KnownPort,
    subset: Option<&Subset>,
    policy: Policy<'_>,
) {
    let labels = subset.map_or(&[][..], |subset| &subset.labels);
    let endpoints = port
        .endpoints
        .iter()
        // Better no answer than one in plain text where TLS is asked for.
        .filter(|_| policy.tls != Some(UpstreamTls::Demanded))
        .filter(|endpoint| labels.iter().all(|label| endpoint.labels.contains(label)));
    let endpoints = endpoints.map(|endpoint| Endpoint {
        weight: endpoint.weight,
        labels: endpoint.labels.clone(),
        ..Endpoint::at(endpoint.address)
    });
    let name = ClusterName {
        host: service.host.clone(),
        port: port.number,
        subset: subset.map_or_else(|| "".into(), |subset| (&*subset.name).into()),
    };
    let origin = subset.map_or(&service.origin, |subset| &subset.origin).clone();
    let namespace = service.object.namespace.clone();
    let mut cluster = Cluster::plain(name.clone(), origin, service.name.clone(), namespace);
    cluster.endpoints = endpoints.collect();
    if let Some(timeout) = policy.pool.and_then(|pool| pool.connect_timeout) {
        cluster.pool.connect_timeout = timeout;
    }
    if let Some(timeout) = policy.pool.and_then(|pool| pool.idle_timeout) {
        cluster.pool.idle_timeout = timeout;
    }
    clusters.insert(name, Arc::new(cluster));
}

/// Says why a subset has no endpoint, where the service has some.
fn check_subset(
    service: &KnownService,
    rule: &DestinationRule,
    subset: &Subset,
    findings: &mut Findings,
) {
    let all = || service.ports.iter().flat_map(|port| &port.endpoints);
    let selected =
        |labels: &[(String, String)]| subset.labels.iter().all(|label| labels.contains(label));
    if all().next().is_none() || all().any(|endpoint| selected(&endpoint.labels)) {
        return;
    }
    let (message, help) = match service.labels {
        EndpointLabels::Unknown => (
            format!(
                "the subset `{}` is empty: an EndpointSlice has no pod labels to select by",
                subset.name
            ),
            "write the service as a ServiceEntry whose endpoints have labels, or leave the labels out",
        ),
        EndpointLabels::Written => (
            format!(
                "the subset `{}` is empty: no endpoint of `{}` has its labels",
                subset.name, service.host
            ),
            "give the endpoints the subset's labels; requests to it are answered with 503",
        ),
    };
    let field = format!("spec.subsets[{}].labels", subset.index);
    let spot = Spot { object: &rule.metadata.id, field, origin: &subset.origin };
    findings.warning(codes::NO_ENDPOINTS, spot, message, help);
}

/// The DestinationRules by the hosts that they are for.
struct Rules<'r> {
    exact: HashMap<Arc<str>, Vec<&'r DestinationRule>>,
    /// By suffix, as `.example.com`; empty for `*`.
    wildcard: Vec<(&'r str, &'r DestinationRule)>,
}

impl<'r> Rules<'r> {
    fn sort(objects: &'r Objects, services: &Services, findings: &mut Findings) -> Self {
        let mut rules = Rules { exact: HashMap::new(), wildcard: Vec::new() };
        for rule in &objects.destination_rules {
            if let Some(suffix) = rule.host.strip_prefix('*')
                && services.find(&rule.host).is_none()
            {
                rules.wildcard.push((suffix, rule));
                continue;
            }
            let id = &rule.metadata.id;
            let host = services.full_host(&rule.host, &id.namespace);
            if services.find(&host).is_none() {
                let field = "spec.host".to_owned();
                let spot = Spot { object: id, field, origin: &rule.host_origin };
                let message = format!("there is no service `{host}`, so the rule has no effect");
                let help = "name a Service or a host of a ServiceEntry; a short name is looked for in the rule's own namespace";
                findings.warning(codes::RULE_WITHOUT_SERVICE, spot, message, help);
            }
            rules.exact.entry(host).or_default().push(rule);
        }
        rules
    }

    fn of(&self, host: &str) -> Vec<&'r DestinationRule> {
        let exact = self.exact.get(host).into_iter().flatten().copied();
        let wide = self.wildcard.iter().filter(|(suffix, _)| host.ends_with(suffix));
        exact.chain(wide.map(|(_, rule)| *rule)).collect()
    }
}
