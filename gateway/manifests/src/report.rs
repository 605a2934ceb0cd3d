//! Collecting the problems of one object while it is read.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use portcullis_model::{Code, ObjectId, Origin, Problem, Severity};

use crate::yaml::Place;

/// The problems of one object, in the order found.
pub(crate) struct Report {
    object: Option<ObjectId>,
    file: Arc<str>,
    lines_before: u32,
    problems: RefCell<Vec<Problem>>,
    broken: Cell<bool>,
    expressions: RefCell<Option<Box<Expressions>>>,
}

/// What a problem means for the object that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// The object cannot be used as written: its last good version serves.
    Breaks,
    /// A part of it cannot be served as written; the rest is.
    Degrades,
    /// It is served; its author should look.
    Warns,
}

impl Report {
    /// An empty report on an object of a file, in a document that begins behind so many lines.
    pub(crate) fn new(object: Option<ObjectId>, file: Arc<str>, lines_before: u32) -> Self {
        let (problems, broken) = (RefCell::default(), Cell::new(false));
        let expressions = RefCell::default();
        Report { object, file, lines_before, problems, broken, expressions }
    }

    /// The object that is reported on, where it is known.
    pub(crate) fn object(&self) -> Option<&ObjectId> {
        self.object.as_ref()
    }

    /// Where a place in the object's document is.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        let line = place.line.saturating_add(self.lines_before);
        Origin { file: self.file.clone(), line, column: place.column }
    }

    /// Adds a problem.
    pub(crate) fn add(
        &self,
        gravity: Gravity,
        code: Code,
        field: String,
        origin: Origin,
        said: (String, String),
    ) {
        if gravity == Gravity::Breaks {
            self.broken.set(true);
        }
        let severity = match gravity {
            Gravity::Breaks | Gravity::Degrades => Severity::Error,
            Gravity::Warns => Severity::Warning,
        };
        let (message, help) = said;
        let object = self.object.clone();
        let problem = Problem { code, severity, object, field, origin, message, help };
        self.problems.borrow_mut().push(problem);
    }

    /// Whether one more regular expression may be compiled: alone an object can have no more than its namespace.
    pub(crate) fn room_for_expressions(&self) -> Room {
        let mut expressions = self.expressions.borrow_mut();
        match expressions.as_mut() {
            Some(all) if all.is_full => Room::Full,
            Some(all) if all.bytes > MOST_EXPRESSIONS => {
                all.is_full = true;
                Room::JustFilled
            }
            _ => Room::Left,
        }
    }

    /// Counts a regular expression: what it takes in bytes, and where it stands.
    pub(crate) fn count_expression(&self, bytes: usize, place: impl FnOnce() -> (String, Origin)) {
        let bytes = bytes + BESIDE_EXPRESSION;
        let mut expressions = self.expressions.borrow_mut();
        let (before, largest) = expressions.as_ref().map_or((0, 0), |all| (all.bytes, all.largest));
        if bytes > largest {
            let (field, origin) = place();
            let all = Expressions { bytes: 0, is_full: false, largest: bytes, field, origin };
            *expressions = Some(all.into());
        }
        if let Some(all) = expressions.as_mut() {
            all.bytes = before + bytes;
        }
    }

    /// Whether the object has a problem that [breaks](Gravity::Breaks) it.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The file that the object stands in.
    pub(crate) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The problems.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// What was found, once the object is read.
    pub(crate) fn into_reported(self) -> Reported {
        let (problems, expressions) = (self.problems.into_inner().into(), self.expressions);
        let (is_broken, expressions) = (self.broken.get(), expressions.into_inner());
        Reported { problems, is_broken, expressions }
    }
}

/// What was found wrong with an object.
#[derive(Debug)]
pub(crate) struct Reported {
    /// The problems, in the order found.
    pub(crate) problems: Box<[Problem]>,
    /// Whether one of them [breaks](Gravity::Breaks) it.
    pub(crate) is_broken: bool,
    /// What its regular expressions take, where it has any.
    pub(crate) expressions: Option<Box<Expressions>>,
}

/// What the regular expressions of a namespace may take, in bytes.
pub(crate) const MOST_EXPRESSIONS: usize = 64 << 20;

/// Whether an object may have further regular expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It may.
    Left,
    /// No longer, which nobody has said yet.
    JustFilled,
    /// No longer, and that is said.
    Full,
}

/// What threads remember of the texts that an expression is held against, about, in bytes.
const BESIDE_EXPRESSION: usize = 2 << 10;

/// What the regular expressions of an object take, in bytes, and the one that takes most.
#[derive(Clone, Debug)]
pub(crate) struct Expressions {
    pub(crate) bytes: usize,
    is_full: bool,
    largest: usize,
    /// The field of that one.
    pub(crate) field: String,
    /// Where it stands.
    pub(crate) origin: Origin,
}

impl Reported {
    /// The first message of a problem that is an error.
    pub(crate) fn first_error(&self) -> Option<String> {
        let first = self.problems.iter().find(|problem| problem.severity == Severity::Error)?;
        Some(match first.field.as_str() {
            "" => first.message.clone(),
            field => format!("{field}: {}", first.message),
        })
    }

    /// The problems, the first error telling what becomes of the object.
    pub(crate) fn problems_with(&self, consequence: &str) -> Vec<Problem> {
        let mut problems = self.problems.to_vec();
        let first = problems.iter_mut().find(|problem| problem.severity == Severity::Error);
        if let Some(problem) = first {
            let separator = if problem.help.is_empty() { "" } else { "; " };
            problem.help += separator;
            problem.help += consequence;
        }
        problems
    }
}
