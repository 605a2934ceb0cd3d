//! Problems between objects, found after each one has been read.

use portcullis_model::{Code, ObjectId, Origin, Problem, Severity};

/// The problems found.
#[derive(Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
}

/// The place that a problem is at.
pub(crate) struct Spot<'s> {
    pub(crate) object: &'s ObjectId,
    pub(crate) field: String,
    pub(crate) origin: &'s Origin,
}

impl Findings {
    /// Something that is not served as written.
    pub(crate) fn error(&mut self, code: Code, spot: Spot<'_>, message: String, help: &str) {
        self.add(Severity::Error, code, spot, message, help);
    }

    /// Something to look at.
    pub(crate) fn warning(&mut self, code: Code, spot: Spot<'_>, message: String, help: &str) {
        self.add(Severity::Warning, code, spot, message, help);
    }

    fn add(&mut self, severity: Severity, code: Code, spot: Spot<'_>, message: String, help: &str) {
        self.problems.push(Problem {
            code,
            severity,
            object: Some(spot.object.clone()),
            field: spot.field,
            origin: spot.origin.clone(),
            message,
            help: help.to_owned(),
        });
    }

    /// Takes in the problems of one object.
    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// All of them, in the order found.
    pub(crate) fn into_unsorted(self) -> Vec<Problem> {
        self.problems
    }

    /// All of them, by file and line.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| {
            (problem.origin.file.clone(), problem.origin.line, problem.origin.column)
        };
        self.problems.sort_by_cached_key(place);
        // A rule for many hosts has its problem once, not once for each.
        self.problems.dedup();
        self.problems
    }
}
