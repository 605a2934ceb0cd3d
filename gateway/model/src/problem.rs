//! What is wrong with a configuration, said so that its author can mend it.

use std::fmt;

use crate::{ObjectId, Origin};

/// A problem's code, such as `PC0101`. Codes never change their meaning; `docs/problems.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether the object is served all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The object is not served as written: its last good version serves on, or what it protects is refused.
    Error,
    /// The object is served; its author should look.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing wrong: what, where, and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// The object; `None` where a file is no object at all.
    pub object: Option<ObjectId>,
    /// The field's path, as `spec.http[0].match[1].uri`; empty for the whole object.
    pub field: String,
    /// The place in the file.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// `path/gw.yaml:12:5: error[PC0101] Gateway/default/gw spec.servers[0].port: message; help`, one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[{}]", self.origin, self.severity.as_str(), self.code)?;
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}
