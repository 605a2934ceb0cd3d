//! What authorization policies would say of a request of which not everything is known.

use portcullis_exchange::Exchange;

use crate::access_policy::{AccessAction, AccessPolicy, AccessRule, Enforcement};
use crate::access_test::{AccessSubject, AccessTest};
use crate::authorization::{AccessRefusal, Authorization};

/// What all policies together say.
#[derive(Clone, Debug)]
pub struct AccessConsideration<'a> {
    /// Each, in the order in which they are asked.
    pub policies: Vec<ConsideredPolicy<'a>>,
    /// What comes of it.
    pub verdict: AccessVerdict<'a>,
}

/// What one policy says.
#[derive(Clone, Debug)]
pub struct ConsideredPolicy<'a> {
    /// The policy.
    pub policy: &'a AccessPolicy,
    /// Whether it matches.
    pub outcome: PolicyOutcome,
}

/// Whether a policy matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    /// The rule at this place does.
    Matches(usize),
    /// No rule does.
    DoesNot,
    /// That depends on these attributes, which are not known.
    Depends(Vec<&'static str>),
}

/// What becomes of the request.
#[derive(Clone, Debug)]
pub enum AccessVerdict<'a> {
    /// It passes.
    Passes,
    /// It is refused.
    Refused(AccessRefusal<'a>),
    /// That depends on what is not known.
    Depends,
}

/// Holds a request against all policies; `is_known` tells which attributes the exchange truly has.
pub fn consider_access<'a>(
    authorization: &'a Authorization,
    exchange: &Exchange,
    is_known: impl Fn(&AccessSubject) -> bool,
) -> AccessConsideration<'a> {
    let evaluation = Evaluation { exchange, is_known };
    let consider =
        |policy: &'a AccessPolicy| ConsideredPolicy { outcome: evaluation.policy(policy), policy };
    let policies: Vec<_> = authorization.policies().map(consider).collect();
    AccessConsideration { verdict: verdict(authorization, &policies), policies }
}

fn verdict<'a>(
    authorization: &'a Authorization,
    policies: &[ConsideredPolicy<'a>],
) -> AccessVerdict<'a> {
    let of = |action: AccessAction| {
        policies.iter().filter(move |considered| {
            let policy = considered.policy;
            policy.action == action && policy.enforcement == Enforcement::Enforced
        })
    };
    let mut depends = false;
    for considered in of(AccessAction::Custom).chain(of(AccessAction::Deny)) {
        match considered.outcome {
            PolicyOutcome::Matches(rule) => {
                let policy = Some((considered.policy, rule));
                return AccessVerdict::Refused(AccessRefusal { policy });
            }
            PolicyOutcome::Depends(_) => depends = true,
            PolicyOutcome::DoesNot => {}
        }
    }
    let mut allowing = of(AccessAction::Allow);
    for group in authorization.allow_groups() {
        let (mut is_allowed, mut may_be_allowed) = (false, false);
        for considered in allowing.by_ref().take(group.len()) {
            is_allowed |= matches!(considered.outcome, PolicyOutcome::Matches(_));
            may_be_allowed |= matches!(considered.outcome, PolicyOutcome::Depends(_));
        }
        if !is_allowed && !may_be_allowed {
            return AccessVerdict::Refused(AccessRefusal { policy: None });
        }
        depends |= !is_allowed;
    }
    if depends { AccessVerdict::Depends } else { AccessVerdict::Passes }
}

struct Evaluation<'e, K> {
    exchange: &'e Exchange,
    is_known: K,
}

/// Whether something holds; where that is not known, what it depends on.
enum Truth {
    Yes,
    No,
    Depends(Vec<&'static str>),
}

impl<K: Fn(&AccessSubject) -> bool> Evaluation<'_, K> {
    fn policy(&self, policy: &AccessPolicy) -> PolicyOutcome {
        let mut depends = Vec::new();
        for (index, rule) in policy.rules.iter().enumerate() {
            match self.rule(rule) {
                // An earlier rule may match too; it changes nothing.
                Truth::Yes => return PolicyOutcome::Matches(index),
                Truth::No => {}
                Truth::Depends(on) => join(&mut depends, on),
            }
        }
        if depends.is_empty() { PolicyOutcome::DoesNot } else { PolicyOutcome::Depends(depends) }
    }

    fn rule(&self, rule: &AccessRule) -> Truth {
        if rule.never {
            return Truth::No;
        }
        let parts = [self.one_of(&rule.from), self.one_of(&rule.to), self.all_of(&rule.when)];
        all(parts)
    }

    fn one_of(&self, entries: &[Vec<AccessTest>]) -> Truth {
        let mut depends = Vec::new();
        for entry in entries {
            match self.all_of(entry) {
                Truth::Yes => return Truth::Yes,
                Truth::No => {}
                Truth::Depends(on) => join(&mut depends, on),
            }
        }
        match (entries.is_empty(), depends.is_empty()) {
            (true, _) => Truth::Yes,
            (false, true) => Truth::No,
            (false, false) => Truth::Depends(depends),
        }
    }

    fn all_of(&self, tests: &[AccessTest]) -> Truth {
        all(tests.iter().map(|test| self.test(test)))
    }

    fn test(&self, test: &AccessTest) -> Truth {
        match (self.is_known)(&test.subject) {
            false => Truth::Depends(vec![test.subject.name()]),
            true if test.holds(self.exchange) => Truth::Yes,
            true => Truth::No,
        }
    }
}

fn all(parts: impl IntoIterator<Item = Truth>) -> Truth {
    let mut depends = Vec::new();
    for part in parts {
        match part {
            Truth::Yes => {}
            Truth::No => return Truth::No,
            Truth::Depends(on) => join(&mut depends, on),
        }
    }
    if depends.is_empty() { Truth::Yes } else { Truth::Depends(depends) }
}

fn join(names: &mut Vec<&'static str>, more: Vec<&'static str>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}
