//! One `AuthorizationPolicy`: its rules, and which of them matches.

use std::sync::Arc;

use portcullis_exchange::Exchange;

use crate::access_test::AccessTest;

/// A policy. It matches where one of its rules does, so without rules never.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessPolicy {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub action: AccessAction,
    /// Whether it is enforced.
    pub enforcement: Enforcement,
    /// In the order written.
    pub rules: Vec<AccessRule>,
}

/// What a policy does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessAction {
    /// It would ask an external authorizer.
    Custom,
    /// It refuses.
    Deny,
    /// It lets pass; what no policy of this action matches is refused.
    Allow,
    /// It tells of it.
    Audit,
}

/// `istio.io/dry-run`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It counts.
    #[default]
    Enforced,
    /// It tells what it would do.
    DryRun,
}

/// A rule: some entry of `from`, some of `to`, and all of `when`. An empty list is none to fulfil.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessRule {
    /// Sources; all tests of an entry have to hold.
    pub from: Vec<Vec<AccessTest>>,
    /// Operations, likewise.
    pub to: Vec<Vec<AccessTest>>,
    /// Further conditions.
    pub when: Vec<AccessTest>,
    /// It was found that nothing matches it.
    pub never: bool,
}

impl AccessAction {
    /// As manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            AccessAction::Custom => "CUSTOM",
            AccessAction::Deny => "DENY",
            AccessAction::Allow => "ALLOW",
            AccessAction::Audit => "AUDIT",
        }
    }
}

impl AccessPolicy {
    /// The place of the first rule that matches.
    pub fn first_match(&self, exchange: &Exchange) -> Option<usize> {
        self.rules.iter().position(|rule| rule.matches(exchange))
    }

    /// Without tests that nobody can decide where it stands.
    pub(crate) fn as_decidable(&self) -> Self {
        match self.action {
            // It runs before any token is verified.
            AccessAction::Custom => self.without(|test| test.is_unknown() || test.is_of_token()),
            _ => self.without(AccessTest::is_unknown),
        }
    }

    /// For connections whose bytes are passed on.
    pub(crate) fn of_connections(&self) -> Self {
        self.without(AccessTest::is_of_requests)
    }

    /// Without tests that cannot be decided. As in Istio the policy then errs on the safe side: a rule of `ALLOW` with
    /// such a test matches nothing, elsewhere the test counts as fulfilled.
    fn without(&self, undecidable: impl Fn(&AccessTest) -> bool) -> Self {
        let action = self.action;
        let rules = self.rules.iter().map(|rule| rule.without(action, &undecidable)).collect();
        AccessPolicy { rules, ..self.clone() }
    }
}

impl AccessRule {
    fn matches(&self, exchange: &Exchange) -> bool {
        !self.never
            && fulfils_one(&self.from, exchange)
            && fulfils_one(&self.to, exchange)
            && fulfils_all(&self.when, exchange)
    }

    /// All tests.
    pub fn tests(&self) -> impl Iterator<Item = &AccessTest> {
        self.from.iter().chain(&self.to).flatten().chain(&self.when)
    }

    fn without(&self, action: AccessAction, undecidable: &impl Fn(&AccessTest) -> bool) -> Self {
        if !self.tests().any(undecidable) {
            return self.clone();
        }
        let mut rule = self.clone();
        rule.never |= action == AccessAction::Allow;
        let lists = rule.from.iter_mut().chain(&mut rule.to).chain([&mut rule.when]);
        lists.for_each(|tests| tests.retain(|test| !undecidable(test)));
        rule
    }
}

fn fulfils_one(entries: &[Vec<AccessTest>], exchange: &Exchange) -> bool {
    entries.is_empty() || entries.iter().any(|tests| fulfils_all(tests, exchange))
}

fn fulfils_all(tests: &[AccessTest], exchange: &Exchange) -> bool {
    tests.iter().all(|test| test.holds(exchange))
}
