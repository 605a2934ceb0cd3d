//! What EdgePolicies ask of each listener and rule, merged field by field: the most specific wins.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_message::HeadRules;
use portcullis_model::{ConnectionPolicy, Listener, ObjectId, RequestPolicy, Rule};

use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use crate::codes;
use crate::kinds::{EdgePolicy, Gateway, PlacedSetting, ROOT_NAMESPACE, Reach, TargetKind};

/// The policies, the oldest first.
pub(crate) struct EdgePolicies<'p> {
    policies: &'p [Arc<EdgePolicy>],
    /// What was said already: an object and its field.
    reported: HashSet<(ObjectId, String)>,
    /// How often something was to be said, be it that it was said already.
    attempts: usize,
}

/// How specific a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Mesh,
    Namespace,
    /// A Gateway or VirtualService.
    Object,
    /// A ListenerSet of a Gateway.
    ListenerSet,
    /// One of its servers or rules.
    Section,
}

/// A setting that applies.
#[derive(Clone, Copy)]
struct Applied<'p> {
    level: Level,
    placed: &'p PlacedSetting,
    /// Who makes it.
    object: &'p ObjectId,
}

/// A setting of a socket, and the Gateway that it is made for.
struct Winner<'p> {
    gateway: usize,
    applied: Applied<'p>,
}

impl<'p> EdgePolicies<'p> {
    /// For these policies, the oldest first.
    pub(crate) fn new(policies: &'p [Arc<EdgePolicy>]) -> Self {
        EdgePolicies { policies, reported: HashSet::new(), attempts: 0 }
    }

    /// Counts what was to be said that is said once for all objects. What was made meanwhile depends on others.
    pub(crate) fn said_once(&self) -> usize {
        self.attempts
    }

    /// Gives every listener, each with the index of its Gateway, what is asked of its connections and requests.
    pub(crate) fn set_for_listeners(
        &mut self,
        listeners: &mut [(usize, Listener)],
        gateways: &'p [OpenGateway],
        head_rules: HeadRules,
        findings: &mut Findings,
    ) {
        let mut sockets: HashMap<(u16, Option<IpAddr>), Vec<Winner<'p>>> = HashMap::new();
        for (index, listener) in listeners.iter_mut() {
            let Some(open) = gateways.get(*index) else { continue };
            let applied = self.for_server(&open.gateway, &listener.server, findings);
            listener.requests = RequestPolicy { head: head_rules, ..RequestPolicy::default() };
            let winners = sockets.entry((listener.port, listener.bind)).or_default();
            for applied in applied {
                applied.placed.setting.set_requests(&mut listener.requests);
                let bucket = || {
                    let set = owning_set(&open.gateway, &listener.server).map(|(set, _)| set);
                    let of_set = set.filter(|_| applied.level == Level::ListenerSet);
                    let target = of_set.unwrap_or(&open.gateway.metadata.id);
                    applied.bucket(target, Some(&listener.server))
                };
                applied.placed.setting.set_filters(&mut listener.filters, bucket);
                if applied.placed.setting.reach() == Reach::Socket {
                    let challenger = Winner { gateway: *index, applied };
                    self.contend(winners, challenger, (listener.port, gateways), findings);
                }
            }
        }
        let policies: HashMap<_, _> =
            sockets.into_iter().map(|(socket, winners)| (socket, policy(&winners))).collect();
        for (_, listener) in listeners {
            let policy = policies.get(&(listener.port, listener.bind));
            listener.connections = policy.cloned().unwrap_or_default();
        }
    }

    /// Gives a rule, a `section` of this object, what is set for it.
    pub(crate) fn set_for_rule(
        &mut self,
        (kind, object): (TargetKind, &ObjectId),
        section: Option<&str>,
        rule: &mut Rule,
        findings: &mut Findings,
    ) {
        let level = |policy: &EdgePolicy| level_of(policy, kind, object, section);
        for applied in self.applied(level, &object.to_string(), findings) {
            applied.placed.setting.set_overrides(Arc::make_mut(&mut rule.overrides));
            let bucket = || applied.bucket(object, section);
            applied.placed.setting.set_filters(&mut rule.filters, bucket);
        }
    }

    /// What applies to a server of a Gateway, each field once.
    fn for_server(
        &mut self,
        gateway: &'p Gateway,
        server: &str,
        findings: &mut Findings,
    ) -> Vec<Applied<'p>> {
        let id = &gateway.metadata.id;
        let set = owning_set(gateway, server);
        let level = |policy: &EdgePolicy| match policy.targets.as_slice() {
            [] if *policy.metadata.id.namespace == *ROOT_NAMESPACE => Some(Level::Mesh),
            [] => (policy.metadata.id.namespace == id.namespace).then_some(Level::Namespace),
            _ => {
                let of_set = set.and_then(|(set, listener)| level_of_set(policy, set, listener));
                of_set.or_else(|| level_of(policy, TargetKind::Gateway, id, Some(server)))
            }
        };
        let mut applied = self.applied(level, &id.to_string(), findings);
        let own = gateway.settings.iter();
        applied.extend(own.map(|placed| Applied { level: Level::Object, placed, object: id }));
        applied
    }

    /// Each field once, from where it is set most specifically; among equals from the oldest.
    fn applied(
        &mut self,
        level: impl Fn(&EdgePolicy) -> Option<Level>,
        target: &str,
        findings: &mut Findings,
    ) -> Vec<Applied<'p>> {
        let mut chosen: Vec<Applied<'p>> = Vec::new();
        for policy in self.policies {
            let Some(level) = level(policy) else { continue };
            for placed in &policy.settings {
                let applied = Applied { level, placed, object: &policy.metadata.id };
                let known = chosen.iter_mut().find(|known| known.is_same_field(&applied));
                match known {
                    None => chosen.push(applied),
                    Some(known) => match level.cmp(&known.level) {
                        Ordering::Greater => *known = applied,
                        Ordering::Less => {}
                        Ordering::Equal if known.placed.setting == placed.setting => {}
                        Ordering::Equal => {
                            let known = *known;
                            self.report_older(applied, known, target, findings);
                        }
                    },
                }
            }
        }
        chosen
    }

    /// Settles which setting a socket has, where several servers share it: that of the oldest Gateway, in it the
    /// most specific. What is set for the whole mesh gives way.
    fn contend(
        &mut self,
        winners: &mut Vec<Winner<'p>>,
        challenger: Winner<'p>,
        (port, gateways): (u16, &[OpenGateway]),
        findings: &mut Findings,
    ) {
        let applied = challenger.applied;
        let known = winners.iter_mut().find(|known| known.applied.is_same_field(&applied));
        let Some(known) = known else { return winners.push(challenger) };
        let gives_way = known.applied.level == Level::Mesh
            || (known.gateway == challenger.gateway && known.applied.level < applied.level);
        if gives_way {
            *known = challenger;
        } else if applied.level != Level::Mesh
            && known.applied.placed.setting != applied.placed.setting
            && (known.gateway != challenger.gateway || known.applied.level == applied.level)
        {
            let name = |index: usize| gateways.get(index).map(|open| &open.gateway.metadata.id);
            if let (Some(winner), Some(loser)) = (name(known.gateway), name(challenger.gateway)) {
                self.report_shared(applied, known.applied, (port, winner, loser), findings);
            }
        }
    }

    fn report_older(
        &mut self,
        loser: Applied<'_>,
        winner: Applied<'_>,
        target: &str,
        findings: &mut Findings,
    ) {
        let message = format!(
            "this is set for {target} by {} at {} too, which is older and serves",
            winner.object, winner.placed.origin
        );
        let help = "keep one of the two, or give one a narrower target";
        self.report(loser, codes::SETTING_CONFLICT, message, help, findings);
    }

    fn report_shared(
        &mut self,
        loser: Applied<'_>,
        winner: Applied<'_>,
        (port, winning, losing): (u16, &ObjectId, &ObjectId),
        findings: &mut Findings,
    ) {
        let who = match winning == losing {
            true => format!("two servers of {losing} share port {port}"),
            false => format!("{losing} shares port {port} with {winning}"),
        };
        let message = format!(
            "{who}, and {} sets this otherwise at {}; that serves for all of the port",
            winner.object, winner.placed.origin
        );
        let help = "set the same for both, or give one of them another port or `bind`: what concerns connections is decided before it is known which host is meant";
        self.report(loser, codes::SOCKET_SHARED, message, help, findings);
    }

    fn report(
        &mut self,
        loser: Applied<'_>,
        code: portcullis_model::Code,
        message: String,
        help: &str,
        findings: &mut Findings,
    ) {
        self.attempts += 1;
        let field = loser.placed.field.clone();
        if self.reported.insert((loser.object.clone(), field.clone())) {
            let spot = Spot { object: loser.object, field, origin: &loser.placed.origin };
            findings.warning(code, spot, message, help);
        }
    }
}

impl Applied<'_> {
    /// The name of the bucket that a limit draws on: what the policy is for shares one.
    fn bucket(&self, target: &ObjectId, section: Option<&str>) -> Arc<str> {
        match section.filter(|_| self.level == Level::Section) {
            Some(section) => format!("{} {target}/{section}", self.object).into(),
            None => format!("{} {target}", self.object).into(),
        }
    }

    fn is_same_field(&self, other: &Applied<'_>) -> bool {
        self.placed.setting.is_same_field(&other.placed.setting)
    }
}

/// How specifically a policy is for an object, or for a section of it.
fn level_of(
    policy: &EdgePolicy,
    kind: TargetKind,
    id: &ObjectId,
    section: Option<&str>,
) -> Option<Level> {
    if policy.metadata.id.namespace != id.namespace || *id.kind != *kind.as_str() {
        return None;
    }
    let targets = policy.targets.iter();
    let named = targets.filter(|target| target.means(kind, id));
    let level = |wanted: &Option<Arc<str>>| match wanted {
        None => Some(Level::Object),
        Some(wanted) => (Some(&**wanted) == section).then_some(Level::Section),
    };
    named.filter_map(|target| level(&target.section)).max()
}

/// The ListenerSet that a server comes from, and its name there: that of a server is `NAMESPACE/SET/LISTENER`.
fn owning_set<'g>(gateway: &'g Gateway, server: &'g str) -> Option<(&'g ObjectId, &'g str)> {
    let found = gateway.servers.iter().find(|each| *each.name == *server)?;
    Some((found.owner.as_ref()?, server.rsplit('/').next()?))
}

/// How specifically a policy is for a listener of a ListenerSet.
fn level_of_set(policy: &EdgePolicy, set: &ObjectId, listener: &str) -> Option<Level> {
    let level = level_of(policy, TargetKind::ListenerSet, set, Some(listener))?;
    Some(level.max(Level::ListenerSet))
}

fn policy(winners: &[Winner<'_>]) -> Arc<ConnectionPolicy> {
    let mut policy = ConnectionPolicy::default();
    for winner in winners {
        winner.applied.placed.setting.set_connections(&mut policy);
    }
    Arc::new(policy)
}
