//! Conditions as the API words them.

use super::parent::Refusal;
use crate::status::Condition;

/// Makes the conditions of one object.
#[derive(Clone, Copy)]
pub(super) struct Conditions {
    /// `metadata.generation` of it.
    pub(super) generation: Option<i64>,
}

impl Conditions {
    /// One that holds, with this reason.
    pub(super) fn holds(
        self,
        kind: &'static str,
        reason: &'static str,
        message: &str,
    ) -> Condition {
        self.condition(kind, "True", reason, message)
    }

    /// One that does not hold.
    pub(super) fn fails(self, kind: &'static str, refusal: &Refusal) -> Condition {
        self.condition(kind, "False", refusal.reason, &refusal.message)
    }

    /// One that does not hold, which is well.
    pub(super) fn absent(self, kind: &'static str, reason: &'static str) -> Condition {
        self.condition(kind, "False", reason, "")
    }

    /// One that holds unless something was refused; the reason is then the kind's own name.
    pub(super) fn unless(self, kind: &'static str, refusal: Option<&Refusal>) -> Condition {
        match refusal {
            Some(refusal) => self.fails(kind, refusal),
            None => self.holds(kind, kind, ""),
        }
    }

    fn condition(
        self,
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: &str,
    ) -> Condition {
        let message = message.to_owned();
        Condition { kind, status, reason, message, observed_generation: self.generation }
    }
}
