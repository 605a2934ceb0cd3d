//! The DestinationRules by the hosts that they are for.

use std::collections::HashMap;
use std::sync::Arc;

use super::audience::Audience;
use super::coverage::Home;
use super::findings::{Findings, Spot};
use super::gather::Objects;
use super::known_service::KnownService;
use super::services::{Services, report_export};
use crate::codes;
use crate::kinds::{DestinationRule, ROOT_NAMESPACE, Subset, UpstreamTls};

/// The DestinationRules that are meant for the gateway.
pub(crate) struct Rules<'r> {
    audience: Audience<'r>,
    exact: HashMap<Arc<str>, Vec<&'r DestinationRule>>,
    /// By suffix, as `.example.com`; empty for `*`. The longest first.
    wildcard: Vec<(&'r str, &'r DestinationRule)>,
}

/// The rules of one host.
pub(crate) struct HostRules<'r> {
    /// Those of its most specific host: the others have no effect, but for TLS.
    own: Vec<&'r DestinationRule>,
    /// All of them, the most specific first.
    all: Vec<&'r DestinationRule>,
}

impl<'r> Rules<'r> {
    /// Sorts the rules; a problem for each that has no effect here.
    pub(crate) fn sort(
        (objects, home): (&'r Objects, Home<'r>),
        services: &Services,
        findings: &mut Findings,
    ) -> Self {
        let audience = Audience::of(&objects.gateways, home);
        let mut rules = Rules { audience, exact: HashMap::new(), wildcard: Vec::new() };
        for rule in &objects.destination_rules {
            if !is_for_us(rule, audience, findings) {
                continue;
            }
            if let Some(suffix) = rule.host.strip_prefix('*')
                && services.find(&rule.host).is_none()
            {
                rules.wildcard.push((suffix, rule));
                continue;
            }
            let host = services.full_host(&rule.host, &rule.metadata.id.namespace);
            if services.find(&host).is_none() {
                report_no_service(rule, &host, findings);
            }
            rules.exact.entry(host).or_default().push(rule);
        }
        rules.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        rules
    }

    /// The rules of a service.
    pub(crate) fn of(&self, service: &KnownService) -> HostRules<'r> {
        let rank = |rule: &&DestinationRule| {
            let namespace = &*rule.metadata.id.namespace;
            let nearness = match namespace {
                _ if self.audience.is_home(namespace) => 0,
                _ if *namespace == *service.object.namespace => 1,
                ROOT_NAMESPACE => 3,
                _ => 2,
            };
            (rule.selector.is_none(), nearness)
        };
        let sorted = |mut rules: Vec<&'r DestinationRule>| {
            rules.sort_by_key(rank);
            rules
        };
        let mut all = sorted(self.exact.get(&service.host).cloned().unwrap_or_default());
        let mut own = all.clone();
        for same in self.wildcard.chunk_by(|(a, _), (b, _)| a == b) {
            let fits = same.first().is_some_and(|(suffix, _)| service.host.ends_with(suffix));
            if !fits {
                continue;
            }
            let wide = sorted(same.iter().map(|(_, rule)| *rule).collect());
            if own.is_empty() {
                own.clone_from(&wide);
            }
            all.extend(wide);
        }
        HostRules { own, all }
    }
}

impl<'r> HostRules<'r> {
    /// Those of the most specific host, the first of which to have a policy has it.
    pub(crate) fn own(&self) -> &[&'r DestinationRule] {
        &self.own
    }

    /// What they say on TLS for a port. Rules of less specific hosts count where the others are silent, as nobody
    /// should send plain text by writing another rule beside one that asks for TLS.
    pub(crate) fn tls(&self, port: u16) -> Option<&'r UpstreamTls> {
        self.all.iter().find_map(|rule| rule.policy.as_ref()?.tls(port))
    }

    /// Each subset, with its rule. Where two have one name, the first counts, and the other is a problem.
    pub(crate) fn subsets(
        &self,
        findings: &mut Findings,
    ) -> Vec<(&'r DestinationRule, &'r Subset)> {
        let mut subsets: Vec<(&DestinationRule, &Subset)> = Vec::new();
        for rule in &self.own {
            for subset in &rule.subsets {
                let first = subsets.iter().find(|(_, known)| known.name == subset.name);
                let Some((winner, _)) = first else {
                    subsets.push((rule, subset));
                    continue;
                };
                let field = format!("spec.subsets[{}]", subset.index);
                let spot = Spot { object: &rule.metadata.id, field, origin: &subset.origin };
                let message = format!(
                    "{} has a subset `{}` of the same host, which counts",
                    winner.metadata.id, subset.name
                );
                findings.warning(
                    codes::RULE_NOT_COUNTED,
                    spot,
                    message,
                    "rename or remove one of them",
                );
            }
        }
        subsets
    }

    /// Reports policies that do not count, as an earlier rule of the host has one.
    pub(crate) fn report_policies(&self, findings: &mut Findings) {
        let mut with_policy = self.own.iter().filter(|rule| rule.policy.is_some());
        let Some(first) = with_policy.next() else { return };
        for rule in with_policy {
            let field = "spec.trafficPolicy".to_owned();
            let origin = &rule.policy_origin;
            let spot = Spot { object: &rule.metadata.id, field, origin };
            let message =
                format!("{} has a policy for the same host, which counts", first.metadata.id);
            let help = "write all of a host's policy in one DestinationRule; what is said here on TLS counts where the other says nothing";
            findings.warning(codes::RULE_NOT_COUNTED, spot, message, help);
        }
    }

    /// Reports policies of ports that the service does not have. A rule for many hosts is left alone.
    pub(crate) fn report_ports(&self, service: &KnownService, findings: &mut Findings) {
        for rule in self.own.iter().filter(|rule| !rule.host.starts_with('*')) {
            let policies = rule.subsets.iter().map(|subset| &subset.policy).chain(&rule.policy);
            for (number, field, origin) in policies.flat_map(|policy| policy.ports()) {
                if service.ports.iter().any(|port| port.number == number) {
                    continue;
                }
                let spot = Spot { object: &rule.metadata.id, field: field.into(), origin };
                let message = format!("`{}` has no port {number}", service.host);
                let help = "write the number of one of the service's own ports";
                findings.warning(codes::PORT_MISSING, spot, message, help);
            }
        }
    }
}

/// Whether a rule is meant for the gateway.
fn is_for_us(rule: &DestinationRule, audience: Audience<'_>, findings: &mut Findings) -> bool {
    let id = &rule.metadata.id;
    if !audience.sees(&id.namespace, &rule.export) {
        report_export(id, "spec.exportTo", &rule.export, findings);
        return false;
    }
    let Some((labels, origin)) = &rule.selector else { return true };
    let is_picked = audience.is_picked(&id.namespace, labels);
    if !is_picked {
        let spot = Spot { object: id, field: "spec.workloadSelector".to_owned(), origin };
        let message =
            "the rule is for other workloads: no Gateway that it may select has these labels";
        let help = "write labels of a Gateway's `selector` or metadata, in its namespace, that of `--namespace` or `istio-system`; or leave the selector out";
        findings.warning(codes::NO_EFFECT, spot, message.to_owned(), help);
    }
    is_picked
}

fn report_no_service(rule: &DestinationRule, host: &str, findings: &mut Findings) {
    let field = "spec.host".to_owned();
    let spot = Spot { object: &rule.metadata.id, field, origin: &rule.host_origin };
    let message = format!("there is no service `{host}`, so the rule has no effect");
    let help = "name a Service or a host of a ServiceEntry; a short name is looked for in the rule's own namespace";
    findings.warning(codes::RULE_WITHOUT_SERVICE, spot, message, help);
}
