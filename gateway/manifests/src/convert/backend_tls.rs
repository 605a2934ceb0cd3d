//! The BackendTLSPolicies by the ports of Services that they are for.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::{Code, ObjectId};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use super::known_service::{KnownPort, KnownService};
use crate::codes;
use crate::kinds::{BackendTlsPolicy, PortSecurity, TlsTarget, UpstreamTls};
use crate::metadata::Metadata;

static UNSETTLED: UpstreamTls = UpstreamTls::Unsettled;

/// A Service, and the name of a port of it.
type Section<'o> = (ObjectId, Option<&'o str>);

/// The policies by what they are for.
pub(crate) struct BackendTls<'o> {
    by_section: HashMap<Section<'o>, Claim<'o>>,
    verdicts: Vec<PolicyVerdict<'o>>,
}

/// What became of a policy.
#[derive(Clone)]
pub(crate) struct PolicyVerdict<'o> {
    pub(crate) metadata: &'o Metadata,
    /// The Services that it is for.
    pub(crate) services: Vec<ObjectId>,
    /// Why it does not count, as the API has it and in a sentence; `None` where it does.
    pub(crate) refused: Option<(&'static str, String)>,
    /// Why what it names cannot be used.
    pub(crate) unresolved: Option<(&'static str, String)>,
}

/// A policy, and which of its targets this is.
#[derive(Clone, Copy)]
struct Claim<'o> {
    policy: &'o BackendTlsPolicy,
    target: &'o TlsTarget,
}

impl<'o> BackendTls<'o> {
    /// Sorts the policies, the oldest of those for one port being the one that counts.
    pub(crate) fn sort(objects: &'o Objects, findings: &mut Findings) -> Self {
        let mut policies: Vec<&'o Arc<BackendTlsPolicy>> =
            objects.backend_tls_policies.iter().collect();
        policies.sort_by(|one, other| {
            let name = |policy: &BackendTlsPolicy| policy.metadata.id.clone();
            let by_age = one.metadata.created.by_age(&other.metadata.created);
            by_age.then_with(|| name(one).cmp(&name(other)))
        });
        let mut sorted = BackendTls { by_section: HashMap::new(), verdicts: Vec::new() };
        for policy in policies {
            let mut refused = None;
            for target in &policy.targets {
                if let Some(problem) = problem(objects, policy, target) {
                    refused.get_or_insert(("TargetNotFound", problem.2.clone()));
                    report(policy, target, problem, findings);
                }
                if let Some(message) = sorted.claim(Claim { policy, target }, findings) {
                    refused.get_or_insert(("Conflicted", message));
                }
            }
            sorted.verdicts.push(PolicyVerdict {
                metadata: &policy.metadata,
                services: policy.targets.iter().map(|target| service_id(policy, target)).collect(),
                refused,
                unresolved: match policy.tls {
                    UpstreamTls::Client(_) => None,
                    _ => Some(("Invalid", "the policy cannot be read".to_owned())),
                },
            });
        }
        sorted
    }

    /// What became of each policy, where `failure` says why TLS by one cannot be had.
    pub(crate) fn verdicts(
        &self,
        failure: impl Fn(&ObjectId) -> Option<String>,
    ) -> Vec<PolicyVerdict<'o>> {
        let with_failure = |verdict: &PolicyVerdict<'o>| {
            let mut verdict = verdict.clone();
            if let Some(why) = failure(&verdict.metadata.id) {
                verdict.refused.get_or_insert(("NoValidCACertificate", why.clone()));
                verdict.unresolved.get_or_insert(("InvalidCACertificateRef", why));
            }
            verdict
        };
        self.verdicts.iter().map(with_failure).collect()
    }

    /// Why it does not count, where an older one is for the same.
    fn claim(&mut self, claim: Claim<'o>, findings: &mut Findings) -> Option<String> {
        let service = service_id(claim.policy, claim.target);
        let section = (service, claim.target.section.as_deref());
        let Some(winner) = self.by_section.get(&section) else {
            self.by_section.insert(section, claim);
            return None;
        };
        let message =
            format!("{} is for the same and older, so it counts", winner.policy.metadata.id);
        let help = "keep one of the two, or give one a `sectionName`";
        let problem = (codes::RULE_NOT_COUNTED, "name", message.clone(), help.to_owned());
        report(claim.policy, claim.target, problem, findings);
        Some(message)
    }

    /// What holds for a port: what they say, else what DestinationRules do, else what the port says itself.
    pub(crate) fn settle<'t>(
        &self,
        service: &KnownService,
        port: &KnownPort,
        other: Option<&'t UpstreamTls>,
        findings: &mut Findings,
    ) -> Option<&'t UpstreamTls>
    where
        'o: 't,
    {
        let settled = self.over(service, port, other, findings);
        if settled.is_none() && port.security == PortSecurity::Tls {
            let message = format!(
                "port {} asks for TLS, and nothing says whom to trust: its requests are answered with 503",
                port.number
            );
            let help = "write a BackendTLSPolicy for the Service, or `tls` in a DestinationRule";
            let field = "spec.ports".to_owned();
            let spot = Spot { object: &service.object, field, origin: &service.origin };
            findings.error(codes::UPSTREAM_UNVERIFIABLE, spot, message, help);
            return Some(&UNSETTLED);
        }
        settled
    }

    /// Who names the port comes before who names the whole Service, and both before DestinationRules.
    fn over<'t>(
        &self,
        service: &KnownService,
        port: &KnownPort,
        other: Option<&'t UpstreamTls>,
        findings: &mut Findings,
    ) -> Option<&'t UpstreamTls>
    where
        'o: 't,
    {
        if *service.object.kind != *"Service" {
            return other;
        }
        let of = |section| self.by_section.get(&(service.object.clone(), section));
        let named = if port.name.is_empty() { None } else { of(Some(&*port.name)) };
        let Some(claim) = named.or_else(|| of(None)) else { return other };
        if other.is_some() {
            let message = format!(
                "a DestinationRule says something else on TLS to port {} of `{}`; the BackendTLSPolicy counts",
                port.number, service.host
            );
            let help = "write it in one of the two";
            let spot = spot(claim.policy, claim.target, "name");
            findings.warning(codes::RULE_NOT_COUNTED, spot, message, help);
        }
        Some(&claim.policy.tls)
    }
}

fn service_id(policy: &BackendTlsPolicy, target: &TlsTarget) -> ObjectId {
    ObjectId::new("Service", policy.metadata.id.namespace.clone(), target.service.clone())
}

fn problem(
    objects: &Objects,
    policy: &BackendTlsPolicy,
    target: &TlsTarget,
) -> Option<(Code, &'static str, String, String)> {
    let id = service_id(policy, target);
    let Some(service) = objects.services.iter().find(|service| service.metadata.id == id) else {
        let help =
            "write it, or correct the name; a target is looked for in the policy's own namespace";
        let is_known = objects.broken.contains(&id);
        let problem = (codes::TARGET_MISSING, "name", format!("there is no {id}"), help.to_owned());
        return (!is_known).then_some(problem);
    };
    let section = target.section.as_deref()?;
    if service.ports.iter().any(|port| *port.name == *section) {
        return None;
    }
    let names: Vec<&str> = service.ports.iter().map(|port| &*port.name).collect();
    let help = format!("its ports are named: {}", names.join(", "));
    let message = format!("{id} has no port `{section}`");
    Some((codes::TARGET_MISSING, "sectionName", message, help))
}

fn spot<'s>(policy: &'s BackendTlsPolicy, target: &'s TlsTarget, part: &str) -> Spot<'s> {
    let field = format!("{}.{part}", target.field);
    Spot { object: &policy.metadata.id, field, origin: &target.origin }
}

fn report(
    policy: &BackendTlsPolicy,
    target: &TlsTarget,
    (code, part, message, help): (Code, &str, String, String),
    findings: &mut Findings,
) {
    findings.error(code, spot(policy, target, part), message, &help);
}
