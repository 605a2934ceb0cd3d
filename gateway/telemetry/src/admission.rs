//! Bounds how many label sets are shown apart; what comes too late is shown as `other`.

use std::collections::HashSet;

use crate::exposition::Labels;

/// The label sets of one group of families that are shown apart. One that was admitted stays, so no counter ever
/// goes down.
#[derive(Debug)]
pub(crate) struct Admission {
    admitted: HashSet<Labels>,
    most: usize,
}

impl Admission {
    /// Room for so many series, of which each label set makes so many.
    pub(crate) fn new(series: usize, each: usize) -> Self {
        // One set's room is for `other`.
        let most = (series / each.max(1)).saturating_sub(1);
        Admission { admitted: HashSet::new(), most }
    }

    /// The labels themselves where there is room for them, else those of `other`.
    pub(crate) fn admit(&mut self, labels: Labels, other: &Labels) -> Labels {
        if self.admitted.contains(&labels) {
            return labels;
        }
        if self.admitted.len() >= self.most {
            return other.clone();
        }
        self.admitted.insert(labels.clone());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_admitted_stays() {
        let mut admission = Admission::new(6, 2);
        let label = |value| Labels::default().with("route", value);
        let other = label("other");
        assert_eq!(admission.admit(label("a"), &other), label("a"));
        assert_eq!(admission.admit(label("b"), &other), label("b"));
        assert_eq!(admission.admit(label("c"), &other), other);
        assert_eq!(admission.admit(label("a"), &other), label("a"));
    }
}
