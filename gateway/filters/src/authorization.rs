//! Whether a request or connection may pass, as Istio's `AuthorizationPolicy` has it.

use std::fmt;

use portcullis_exchange::Exchange;

use crate::access_policy::{AccessAction, AccessPolicy, Enforcement};

/// The policies that cover a listener. What `CUSTOM` covers is refused first, then what `DENY` matches, then what no
/// `ALLOW` matches where there is any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authorization {
    custom: Vec<AccessPolicy>,
    deny: Vec<AccessPolicy>,
    /// A request needs one of each group: nobody lets pass what is to be guarded by others.
    allow: Vec<Vec<AccessPolicy>>,
    /// `AUDIT`, and what is evaluated alone (`istio.io/dry-run`).
    watching: Vec<AccessPolicy>,
}

/// Why a request or connection is refused, as Envoy's response code details write it.
#[derive(Clone, Copy, Debug)]
pub struct AccessRefusal<'a> {
    /// The policy and the place of its rule; `None` where no `ALLOW` policy has a rule for it.
    pub policy: Option<(&'a AccessPolicy, usize)>,
}

impl Authorization {
    /// Of these policies, each action in their order.
    pub fn new(policies: impl IntoIterator<Item = AccessPolicy>) -> Self {
        let (mut authorization, mut allow) = (Authorization::default(), Vec::new());
        for policy in policies {
            authorization.add(policy, &mut allow);
        }
        authorization.allow.extend((!allow.is_empty()).then_some(allow));
        authorization
    }

    /// Joins what others demand besides: it refuses what either refuses.
    #[must_use]
    pub fn and(mut self, other: Authorization) -> Self {
        self.custom.extend(other.custom);
        self.deny.extend(other.deny);
        self.allow.extend(other.allow);
        self.watching.extend(other.watching);
        self
    }

    fn add(&mut self, policy: AccessPolicy, allow: &mut Vec<AccessPolicy>) {
        let policy = policy.as_decidable();
        let list = match (policy.enforcement, policy.action) {
            (Enforcement::DryRun, _) | (_, AccessAction::Audit) => &mut self.watching,
            (_, AccessAction::Custom) => &mut self.custom,
            (_, AccessAction::Deny) => &mut self.deny,
            (_, AccessAction::Allow) => allow,
        };
        list.push(policy);
    }

    /// The same for connections whose bytes are passed on: nothing is known of requests there.
    pub fn of_connections(&self) -> Self {
        let of = |policies: &[AccessPolicy]| {
            policies.iter().map(AccessPolicy::of_connections).collect::<Vec<_>>()
        };
        Authorization {
            custom: of(&self.custom),
            deny: of(&self.deny),
            allow: self.allow.iter().map(|group| of(group)).collect(),
            watching: of(&self.watching),
        }
    }

    /// All policies: those of `CUSTOM`, `DENY`, `ALLOW`, and those that refuse nothing.
    pub fn policies(&self) -> impl Iterator<Item = &AccessPolicy> {
        let allow = self.allow.iter().flatten();
        self.custom.iter().chain(&self.deny).chain(allow).chain(&self.watching)
    }

    /// Of `ALLOW`: of each group one has to match.
    pub(crate) fn allow_groups(&self) -> impl Iterator<Item = &[AccessPolicy]> {
        self.allow.iter().map(Vec::as_slice)
    }

    /// Whether a policy has the action `CUSTOM`.
    pub fn has_custom(&self) -> bool {
        !self.custom.is_empty()
    }

    /// Why `CUSTOM` refuses it. There is no external authorizer to ask, so what it would be asked about is refused.
    pub fn custom_refusal(&self, exchange: &Exchange) -> Option<AccessRefusal<'_>> {
        first_match(&self.custom, exchange)
    }

    /// Why `DENY` or `ALLOW` refuses it.
    pub fn refusal(&self, exchange: &Exchange) -> Option<AccessRefusal<'_>> {
        let denied = first_match(&self.deny, exchange);
        if denied.is_some() {
            return denied;
        }
        let lets_pass = |group: &Vec<AccessPolicy>| first_match(group, exchange).is_some();
        let passes = self.allow.iter().all(lets_pass);
        (!passes).then_some(AccessRefusal { policy: None })
    }

    /// Whether there are policies that refuse nothing, but tell what they match.
    pub fn is_watching(&self) -> bool {
        !self.watching.is_empty()
    }

    /// The policies that match without refusing: `AUDIT`, and dry runs. A dry run of `ALLOW` that would refuse, as none
    /// matches, is [`AccessRefusal`]'s without a policy.
    pub fn watch(&self, exchange: &Exchange, mut tell: impl FnMut(AccessRefusal<'_>)) {
        let mut dry_allow = None;
        for policy in &self.watching {
            let matched = policy.first_match(exchange);
            match (policy.action, matched) {
                (AccessAction::Allow, matched) => {
                    *dry_allow.get_or_insert(false) |= matched.is_some();
                }
                (_, Some(rule)) => tell(AccessRefusal { policy: Some((policy, rule)) }),
                (_, None) => {}
            }
        }
        if dry_allow == Some(false) {
            tell(AccessRefusal { policy: None });
        }
    }
}

fn first_match<'a>(policies: &'a [AccessPolicy], exchange: &Exchange) -> Option<AccessRefusal<'a>> {
    policies.iter().find_map(|policy| {
        let rule = policy.first_match(exchange)?;
        Some(AccessRefusal { policy: Some((policy, rule)) })
    })
}

impl fmt::Display for AccessRefusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((policy, rule)) = self.policy else {
            return f.write_str("rbac_access_denied_matched_policy[none]");
        };
        let (namespace, name) = (&policy.namespace, &policy.name);
        write!(f, "rbac_access_denied_matched_policy[ns[{namespace}]-policy[{name}]-rule[{rule}]]")
    }
}
