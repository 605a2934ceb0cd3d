//! VirtualServices that others delegate to: their rules within the rule that delegates (Istio's `mergeHTTPRoutes`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use super::narrowing::narrow_all;
use crate::codes;
use crate::kinds::{
    Delegate, HttpRule, MOST_ROUTES, Rewrite, RouteAction, RuleMirror, VirtualService, match_count,
};

/// The VirtualServices without hosts.
pub(crate) struct Delegates<'d> {
    by_id: HashMap<&'d ObjectId, &'d Arc<VirtualService>>,
    /// All that are written, with hosts or without.
    services: &'d [Arc<VirtualService>],
    /// Those that could not be read.
    broken: &'d HashSet<ObjectId>,
    /// Whether all VirtualServices are here, so that one to which nobody delegates can be told.
    are_all_read: bool,
    used: HashSet<ObjectId>,
}

/// A rule as it is served: that of a VirtualService, or a delegate's within it.
pub(crate) struct Effective {
    /// Whose rule it is.
    pub(crate) owner: Arc<VirtualService>,
    /// As its owner wrote it, with what it has from the rule that delegates.
    pub(crate) rule: HttpRule,
    /// The name of the rule that delegates, and whose mirrors these are.
    pub(crate) through: Option<Through>,
}

/// What the rule that delegates adds.
pub(crate) struct Through {
    /// Its name.
    pub(crate) name: Option<Box<str>>,
    /// Mirrors that it has and the delegate's rule has not; their short names are of its namespace.
    pub(crate) mirrors: Vec<RuleMirror>,
}

impl<'d> Delegates<'d> {
    /// Of all VirtualServices.
    pub(crate) fn new(services: &'d [Arc<VirtualService>], broken: &'d HashSet<ObjectId>) -> Self {
        let without_hosts = services.iter().filter(|service| service.hosts.is_empty());
        Delegates {
            by_id: without_hosts.map(|service| (&service.metadata.id, service)).collect(),
            services,
            broken,
            are_all_read: !broken.iter().any(|id| *id.kind == *"VirtualService"),
            used: HashSet::new(),
        }
    }

    /// The rules of a VirtualService with hosts, those of delegates in the place of the rules that delegate.
    pub(crate) fn expand(
        &mut self,
        service: &Arc<VirtualService>,
        findings: &mut Findings,
    ) -> Vec<Effective> {
        let mut all = Vec::with_capacity(service.rules.len());
        let mut routes = 0;
        for rule in &service.rules {
            let RouteAction::Delegate(delegate) = &rule.action else {
                all.push(Effective { owner: service.clone(), rule: rule.clone(), through: None });
                continue;
            };
            let Some(inner) = self.find(service, rule, delegate, findings) else { continue };
            let matches = rule.matches.len().max(1) * match_count(&inner.rules);
            routes += matches * service.hosts.len();
            if routes > MOST_ROUTES {
                report_too_many(service, rule, delegate, findings);
                continue;
            }
            for leaf in &inner.rules {
                all.extend(within(rule, leaf, (service, inner), findings));
            }
        }
        all
    }

    fn find(
        &mut self,
        service: &VirtualService,
        rule: &HttpRule,
        delegate: &Delegate,
        findings: &mut Findings,
    ) -> Option<&'d Arc<VirtualService>> {
        let own = &service.metadata.id;
        let found = self.by_id.get(&delegate.id).copied();
        let reaches = |inner: &&Arc<VirtualService>| {
            inner.export.reaches(&delegate.id.namespace, &own.namespace)
        };
        let message = match found.filter(reaches) {
            Some(found) => {
                self.used.insert(delegate.id.clone());
                return Some(found);
            }
            None if found.is_some() => {
                self.used.insert(delegate.id.clone());
                format!("`{}` is not exported to the namespace `{}`", delegate.id, own.namespace)
            }
            None if self.is_written(&delegate.id) => {
                format!("`{}` is no delegate: it has hosts, or could not be read", delegate.id)
            }
            None => format!("there is no `{}`", delegate.id),
        };
        let field = format!("spec.http[{}].delegate", rule.index);
        let spot = Spot { object: own, field, origin: &delegate.origin };
        let near = self.by_id.keys().filter(|id| id.name == delegate.id.name).min();
        let near = near.map(|id| format!("did you mean `namespace: {}`? ", id.namespace));
        let help = near.unwrap_or_default()
            + "a delegate is a VirtualService without `hosts`; until there is one, this rule takes no request";
        findings.error(codes::DELEGATE_MISSING, spot, message, &help);
        None
    }

    fn is_written(&self, id: &ObjectId) -> bool {
        self.broken.contains(id) || self.services.iter().any(|service| service.metadata.id == *id)
    }

    /// Reports the delegates that nobody delegates to.
    pub(crate) fn report_unused(self, findings: &mut Findings) {
        for (id, service) in self.by_id.iter().filter(|_| self.are_all_read) {
            if !self.used.contains(id) {
                let (field, origin) = ("spec.hosts".to_owned(), &service.hosts_origin);
                let message = "without `hosts` it is for others to delegate to, and none does";
                let help = "write `hosts`, `*` for every one, or the rule that delegates to it";
                let spot = Spot { object: id, field, origin };
                findings.warning(codes::DELEGATE_UNUSED, spot, message.to_owned(), help);
            }
        }
    }
}

/// A delegate's rule within the rule that delegates; `None` where its conditions lead out of it.
fn within(
    outer: &HttpRule,
    leaf: &HttpRule,
    (root, owner): (&VirtualService, &Arc<VirtualService>),
    findings: &mut Findings,
) -> Option<Effective> {
    let matches = match narrow_all(&outer.matches, &leaf.matches) {
        Ok(matches) => matches,
        Err(number) => {
            report_conflict(outer, leaf, number, (root, owner), findings);
            return None;
        }
    };
    let mirrors = match &leaf.mirrors {
        Some(_) => Vec::new(),
        None => outer.mirrors.clone().unwrap_or_default(),
    };
    let rule = HttpRule {
        matches,
        rewrite: inherited_rewrite(outer, leaf),
        headers: leaf.headers.clone().or_else(|| outer.headers.clone()),
        timeout: leaf.timeout.or(outer.timeout),
        retries: leaf.retries.clone().or_else(|| outer.retries.clone()),
        fault: leaf.fault.clone().or_else(|| outer.fault.clone()),
        cors: leaf.cors.clone().or_else(|| outer.cors.clone()),
        ..leaf.clone()
    };
    let through = Through { name: outer.name.clone(), mirrors };
    Some(Effective { owner: owner.clone(), rule, through: Some(through) })
}

fn inherited_rewrite(outer: &HttpRule, leaf: &HttpRule) -> Option<Box<Rewrite>> {
    leaf.rewrite.clone().or_else(|| outer.rewrite.clone())
}

fn report_too_many(
    service: &VirtualService,
    rule: &HttpRule,
    delegate: &Delegate,
    findings: &mut Findings,
) {
    let message = format!(
        "with the matches of this rule and its delegate the hosts have more than {MOST_ROUTES} routes"
    );
    let field = format!("spec.http[{}].delegate", rule.index);
    let spot = Spot { object: &service.metadata.id, field, origin: &delegate.origin };
    let help =
        "write one short match in the rule that delegates; until then this rule takes no request";
    findings.error(codes::TOO_MANY_ROUTES, spot, message, help);
}

fn report_conflict(
    outer: &HttpRule,
    leaf: &HttpRule,
    number: usize,
    (root, owner): (&VirtualService, &VirtualService),
    findings: &mut Findings,
) {
    let field = format!("spec.http[{}].match[{number}]", leaf.index);
    let origin = leaf.matches.get(number).map_or(&leaf.origin, |each| &each.origin);
    let message = format!(
        "this is not within any match of {} spec.http[{}] at {}, which delegates to it",
        root.metadata.id, outer.index, outer.origin
    );
    let help = "narrow it until it is: the same prefix or a longer one, the same values; until then the rule is left out there";
    let spot = Spot { object: &owner.metadata.id, field, origin };
    findings.error(codes::DELEGATE_CONFLICT, spot, message, help);
}
