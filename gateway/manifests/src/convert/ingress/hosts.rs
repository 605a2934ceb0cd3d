//! The rules of all Ingresses by host, in the order in which they are tried.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, PathMatch, Rule, VirtualHost};

use super::super::findings::{Findings, Spot};
use super::super::routes::Lookup;
use super::rules::{for_more_labels, for_one_label, of_default, of_path};
use crate::codes;
use crate::kinds::{Ingress, IngressPath};

/// The rules by host.
pub(super) struct Hosts {
    by_host: BTreeMap<HostPattern, Vec<Arc<Rule>>>,
}

/// What is written for one host.
#[derive(Default)]
struct Written<'i> {
    paths: Vec<(&'i Ingress, &'i IngressPath, Arc<Rule>)>,
    default: Option<Arc<Rule>>,
}

impl Hosts {
    /// Collects the rules of Ingresses, given in creation order.
    pub(super) fn collect(
        ingresses: &[&Arc<Ingress>],
        lookup: Lookup<'_>,
        findings: &mut Findings,
    ) -> Self {
        let mut written: BTreeMap<HostPattern, Written<'_>> = BTreeMap::new();
        for ingress in ingresses {
            let default = ingress.default_backend.as_ref();
            let default =
                default.map(|backend| Arc::new(of_default(ingress, backend, lookup, findings)));
            for rule in &ingress.rules {
                let host = written.entry(rule.host.clone()).or_default();
                for path in &rule.paths {
                    let built = of_path(ingress, &rule.host, path, lookup, findings);
                    host.paths.push((ingress, path, Arc::new(built)));
                }
                host.default = host.default.take().or_else(|| default.clone());
            }
            if default.is_some() {
                let every = written.entry(HostPattern::Any).or_default();
                every.default = every.default.take().or(default);
            }
        }
        let order = |(host, written)| (host, in_order(written, findings));
        let mut hosts = Hosts { by_host: written.into_iter().map(order).collect() };
        hosts.narrow_wildcards();
        hosts
    }

    /// `*.x` takes a single label in an Ingress. What has more of them goes to the rules for every host, where
    /// there are any.
    fn narrow_wildcards(&mut self) {
        let every = self.by_host.get(&HostPattern::Any).cloned().unwrap_or_default();
        for (host, rules) in &mut self.by_host {
            let HostPattern::Suffix(suffix) = host else { continue };
            let own = rules.iter().map(|rule| for_one_label(rule, suffix));
            let rest = every.iter().map(|rule| for_more_labels(rule, suffix));
            *rules = own.chain(rest).map(Arc::new).collect();
        }
    }

    /// Gives listeners their virtual hosts. Of those that share a host, the first gets all of it.
    pub(super) fn give_to<'l>(&self, listeners: impl Iterator<Item = &'l mut Listener>) {
        let mut given = HashSet::new();
        for listener in listeners {
            let mut virtual_hosts = BTreeMap::new();
            for host in &listener.hosts {
                if !given.insert((listener.port, host.clone())) {
                    continue;
                }
                self.of(host, &mut virtual_hosts);
                // In plain text each host is one of some listener's own; over TLS those of its certificate are.
                if listener.protocol.is_tls() && !matches!(host, HostPattern::Exact(_)) {
                    self.below(host, &mut virtual_hosts);
                }
            }
            let virtual_host = |(host, rules): (HostPattern, &Vec<Arc<Rule>>)| VirtualHost {
                host,
                rules: rules.clone(),
            };
            listener.virtual_hosts = virtual_hosts.into_iter().map(virtual_host).collect();
        }
    }

    /// What is written for a listener's host; else for the narrowest that holds it.
    fn of<'h>(
        &'h self,
        taken: &HostPattern,
        found: &mut BTreeMap<HostPattern, &'h Vec<Arc<Rule>>>,
    ) {
        match self.by_host.get(taken) {
            Some(rules) => drop(found.insert(taken.clone(), rules)),
            None => {
                let holding = self.by_host.iter().filter(|(host, _)| host.contains(taken));
                if let Some((_, rules)) = holding.max_by_key(|(host, _)| host.specificity()) {
                    found.insert(taken.clone(), rules);
                }
            }
        }
    }

    /// What is written for hosts below a listener's.
    fn below<'h>(
        &'h self,
        taken: &HostPattern,
        found: &mut BTreeMap<HostPattern, &'h Vec<Arc<Rule>>>,
    ) {
        let below = self.by_host.iter().filter(|(host, _)| taken.contains(host));
        found.extend(below.map(|(host, rules)| (host.clone(), rules)));
    }
}

/// Exact paths first, then the longest prefix; of equal ones the oldest Ingress' alone, and the default last.
fn in_order(mut written: Written<'_>, findings: &mut Findings) -> Vec<Arc<Rule>> {
    // Stable, so that equal ones stay in the order of creation.
    written.paths.sort_by_key(|(_, path, _)| std::cmp::Reverse(rank(&path.path)));
    let mut rules: Vec<Arc<Rule>> = Vec::with_capacity(written.paths.len() + 1);
    let mut last: Option<(&Ingress, &IngressPath)> = None;
    for (ingress, path, rule) in written.paths {
        match last.filter(|(_, winner)| winner.path == path.path) {
            Some(winner) => report_shadowed((ingress, path), winner, findings),
            None => {
                rules.push(rule);
                last = Some((ingress, path));
            }
        }
    }
    rules.extend(written.default);
    rules
}

/// Greater comes first. Equal texts stand beside each other.
fn rank(path: &PathMatch) -> (u8, usize, &str) {
    match path {
        PathMatch::Exact(text) => (1, text.len(), text),
        PathMatch::Segments(text) | PathMatch::Prefix(text) => (0, text.len(), text),
        PathMatch::Pattern(pattern) => (0, 0, pattern.as_str()),
    }
}

fn report_shadowed(
    (ingress, path): (&Ingress, &IngressPath),
    (owner, winner): (&Ingress, &IngressPath),
    findings: &mut Findings,
) {
    let message = format!(
        "this never matches: {} {} at {} has the same path of the same host, and comes before it",
        owner.metadata.id, winner.field, winner.origin
    );
    let help = "remove one of the two; of Ingresses with one path the oldest has it";
    let spot =
        Spot { object: &ingress.metadata.id, field: path.field.clone(), origin: &path.origin };
    findings.warning(codes::SHADOWED_RULE, spot, message, help);
}
