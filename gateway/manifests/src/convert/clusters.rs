//! Clusters: every port and subset of every service.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{Cluster, ClusterName};

use super::backend_tls::BackendTls;
use super::cluster_policy::Written;
use super::coverage::Home;
use super::destination_rules::Rules;
use super::findings::{Findings, Spot};
use super::gather::Objects;
use super::known_service::{EndpointLabels, KnownPort, KnownService};
use super::services::Services;
use super::upstream_tls::UpstreamCredentials;
use crate::codes;
use crate::kinds::{DestinationRule, Effective, Subset};

/// The clusters by name.
pub(crate) type Clusters = BTreeMap<ClusterName, Arc<Cluster>>;

/// Makes the clusters of services, with the TLS that policies ask for.
pub(crate) fn build_clusters(
    (objects, home): (&Objects, Home<'_>),
    (services, policies): (&Services, &BackendTls<'_>),
    credentials: &mut UpstreamCredentials<'_>,
    findings: &mut Findings,
) -> Clusters {
    let rules = Rules::sort((objects, home), services, findings);
    let mut clusters = Clusters::new();
    let mut add = |service: &KnownService, mut cluster: Cluster, tls, findings: &mut Findings| {
        credentials.protect(&mut cluster, tls, &service.object, findings);
        clusters.insert(cluster.name.clone(), Arc::new(cluster));
    };
    for service in services.iter() {
        let rules = rules.of(service);
        rules.report_policies(findings);
        rules.report_ports(service, findings);
        // The first rule with a policy has it; subsets of all count.
        let whole = rules.own().iter().find_map(|rule| rule.policy.as_ref());
        let effective =
            |port| whole.map_or_else(Effective::default, |w| w.over(Effective::default(), port));
        let health_check = rules.own().iter().find_map(|rule| rule.health_check.as_ref());
        let written = |port: &KnownPort| Written {
            policy: effective(port.number),
            tls: rules.tls(port.number),
            health_check,
        };
        for port in &service.ports {
            let written = written(port);
            let tls = policies.settle(service, port, written.tls, findings);
            add(service, cluster_of(service, port, None, written), tls, findings);
        }
        for (rule, subset) in rules.subsets(findings) {
            check_subset(service, rule, subset, findings);
            for port in &service.ports {
                let whole = written(port);
                let policy = subset.policy.over(whole.policy, port.number);
                let tls = subset.policy.tls(port.number).or(whole.tls);
                let tls = policies.settle(service, port, tls, findings);
                let written = Written { policy, tls, ..whole };
                add(service, cluster_of(service, port, Some(subset), written), tls, findings);
            }
        }
    }
    clusters
}

fn cluster_of(
    service: &KnownService,
    port: &KnownPort,
    subset: Option<&Subset>,
    written: Written<'_>,
) -> Cluster {
    let labels = subset.map_or(&[][..], |subset| &subset.labels);
    let endpoints = port
        .endpoints
        .iter()
        .filter(|endpoint| labels.iter().all(|label| endpoint.labels.contains(label)));
    let name = ClusterName {
        host: service.host.clone(),
        port: port.number,
        subset: subset.map_or_else(|| "".into(), |subset| (&*subset.name).into()),
    };
    let origin = subset.map_or(&service.origin, |subset| &subset.origin).clone();
    let namespace = service.object.namespace.clone();
    let mut cluster = Cluster::plain(name, origin, service.name.clone(), namespace);
    cluster.endpoints = endpoints.cloned().collect();
    cluster.protocol = port.protocol;
    cluster.discovery = port.discovery;
    cluster.subject_alt_names = port.names.clone();
    cluster.health_check = port.health_check.clone();
    cluster.balancing.locality = port.locality.clone();
    written.fill(&mut cluster);
    cluster
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
