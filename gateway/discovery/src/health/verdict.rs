//! How many answers in a row decide what is thought of an endpoint.

use portcullis_model::HealthCheck;

/// What is thought of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not answered yet.
    #[default]
    Unknown,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// The answers of one endpoint so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    /// What is thought of it.
    pub verdict: Verdict,
    /// Answers in a row that speak against that.
    against: u32,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is well.
    Well,
    /// It is not, or said nothing.
    Ill,
}

impl Answers {
    /// Takes in an answer; the verdict where it changes. The first answer decides at once, as Envoy has it; later
    /// ones by the thresholds.
    pub(crate) fn take(&mut self, answered: Answered, check: &HealthCheck) -> Option<Verdict> {
        let (speaks_for, needed) = match answered {
            Answered::Well => (Verdict::Healthy, check.healthy_threshold),
            Answered::Ill => (Verdict::Unhealthy, check.unhealthy_threshold),
        };
        if self.verdict == speaks_for {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.verdict != Verdict::Unknown && self.against < needed {
            return None;
        }
        *self = Answers { verdict: speaks_for, against: 0 };
        Some(speaks_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_decides_and_later_ones_by_the_thresholds() {
        let check =
            HealthCheck { healthy_threshold: 2, unhealthy_threshold: 3, ..HealthCheck::tcp() };
        let mut answers = Answers::default();
        let mut take = |answered| answers.take(answered, &check);
        assert_eq!(take(Answered::Ill), Some(Verdict::Unhealthy));
        assert_eq!(take(Answered::Well), None);
        assert_eq!(take(Answered::Ill), None);
        assert_eq!(take(Answered::Well), None, "not two in a row");
        assert_eq!(take(Answered::Well), Some(Verdict::Healthy));
        assert_eq!(take(Answered::Ill), None);
        assert_eq!(take(Answered::Ill), None);
        assert_eq!(take(Answered::Ill), Some(Verdict::Unhealthy));
        assert_eq!(take(Answered::Ill), None);
        let mut answers = Answers::default();
        assert_eq!(answers.take(Answered::Well, &check), Some(Verdict::Healthy));
    }
}
