//! The chains of a socket's listeners.

use std::sync::Arc;

use portcullis_model::{Listener, Rule};

use crate::chain::{Chain, Chains};

/// The chains of a socket's listeners, each of which most of them share.
pub(crate) struct ListenerChains<'c> {
    pub(crate) parts: Chains<'c>,
    /// By listener, which of the distinct ones it has.
    pub(crate) numbers: Vec<usize>,
    distinct: Vec<Chain>,
}

impl<'c> ListenerChains<'c> {
    pub(crate) fn build(listeners: &[Arc<Listener>], parts: Chains<'c>) -> Self {
        let mut seen: Vec<&Listener> = Vec::new();
        let (mut numbers, mut distinct) = (Vec::new(), Vec::new());
        for listener in listeners {
            let number = seen.iter().position(|seen| have_same_filters(seen, listener));
            numbers.push(number.unwrap_or(seen.len()));
            if number.is_none() {
                seen.push(listener);
                distinct.push(parts.of_requests(listener));
            }
        }
        ListenerChains { parts, numbers, distinct }
    }

    pub(crate) fn of(&self, listener: usize) -> Chain {
        let number = self.numbers.get(listener).copied().unwrap_or_default();
        self.distinct.get(number).cloned().unwrap_or_default()
    }

    /// A rule's own, by the number of the listener's.
    pub(crate) fn with_rule(&self, rule: &Rule) -> Vec<Chain> {
        if rule.plugins.is_empty() {
            return Vec::new();
        }
        self.distinct.iter().map(|chain| self.parts.with_rule(chain, rule)).collect()
    }
}

/// Whether the same runs on the requests of both.
fn have_same_filters(one: &Listener, other: &Listener) -> bool {
    one.plugins == other.plugins
        && is_same(one.authentication.as_ref(), other.authentication.as_ref())
        && is_same(one.authorization.as_ref(), other.authorization.as_ref())
}

/// Whether both are the same in memory, or neither is there.
pub(crate) fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
