//! Which rules the cases reach.

use std::collections::{BTreeSet, HashSet};

use portcullis_snapshot::{Snapshot, Source};

use super::Verdict;

/// How many rules there are, and which of them no case reaches. A rule that is served on several listeners counts once.
pub(crate) struct Coverage {
    /// All rules.
    pub rules: usize,
    /// The rules that no case reaches, in the order of their files and lines.
    pub unreached: Vec<(String, Source)>,
}

impl Coverage {
    /// What these verdicts reach.
    pub(crate) fn of(snapshot: &Snapshot, verdicts: &[Verdict<'_>]) -> Self {
        let explanations = verdicts.iter().filter_map(|verdict| verdict.explanation.as_ref());
        let reached: HashSet<&str> =
            explanations.filter_map(|explanation| explanation.route.as_deref()).collect();
        let mut rules = BTreeSet::new();
        for table in snapshot.sockets.values() {
            for rule in &table.rules {
                let origin = &rule.rule.origin;
                rules.insert((origin.file.clone(), origin.line, rule.rule.id.clone()));
            }
        }
        let unreached = rules.iter().filter(|(_, _, id)| !reached.contains(&**id));
        let unreached = unreached.map(|(file, line, id)| {
            (id.to_string(), Source { file: file.to_string(), line: *line })
        });
        Coverage { unreached: unreached.collect(), rules: rules.len() }
    }

    /// The rules that are reached.
    pub(crate) fn reached(&self) -> usize {
        self.rules - self.unreached.len()
    }

    /// The same in percent; all where there are none.
    pub(crate) fn percent(&self) -> f64 {
        if self.rules == 0 { 100.0 } else { self.reached() as f64 * 100.0 / self.rules as f64 }
    }
}
