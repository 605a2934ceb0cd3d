//! Regular expressions that match a whole text (RE2's language, as Istio's `regex`).

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The longest expression, in bytes.
const LONGEST: usize = 1 << 10;
/// The largest compiled expression, in bytes: what bounds both memory and the time of a match.
const LARGEST: usize = 1 << 20;

/// An expression of which a match covers the whole text. Matching takes time linear in the text.
#[derive(Clone)]
pub struct Pattern {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    regex: Regex,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than 1 KiB.
    #[error("the expression is longer than 1 KiB")]
    TooLong,
    /// Its repetitions multiply to more than is bearable.
    #[error("the expression is too large once its repetitions are written out")]
    TooLarge,
    /// Not RE2's language.
    #[error("{0}")]
    Syntax(String),
    /// A substitution names a group that the expression does not have.
    #[error("the expression has no group {0}")]
    NoSuchGroup(usize),
    /// A substitution has a backslash before something else than a digit or a backslash.
    #[error("a backslash in a substitution is followed by a digit or by another one")]
    Template,
}

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is too long, too large or no expression.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        // What is no expression by itself must not become one by the group around it.
        compile(text)?;
        let regex = build(&format!("^(?:{text})$"))?;
        Ok(Pattern { compiled: Arc::new(Compiled { text: text.into(), regex }) })
    }

    /// Whether it matches a whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.regex.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.compiled.text
    }
}

/// An expression within the bounds, as it is written.
pub(crate) fn compile(text: &str) -> Result<Regex, PatternError> {
    if text.len() > LONGEST { Err(PatternError::TooLong) } else { build(text) }
}

fn build(text: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(LARGEST).dfa_size_limit(LARGEST).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        other => PatternError::Syntax(last_line(&other.to_string())),
    })
}

/// The library draws the expression with a mark under the fault; what is wrong stands in its last line.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_has_to_match() {
        let pattern = Pattern::parse("a|bc+").unwrap();
        assert!(pattern.matches("a") && pattern.matches("bccc"));
        assert!(!pattern.matches("ab") && !pattern.matches("xbc") && !pattern.matches("a\n"));
    }

    #[test]
    fn what_is_too_much_or_nothing_is_refused() {
        assert_eq!(Pattern::parse(&"a".repeat(1025)), Err(PatternError::TooLong));
        assert_eq!(Pattern::parse("((a{100}){100}){100}"), Err(PatternError::TooLarge));
        assert!(matches!(Pattern::parse("a)(b"), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::parse("(?=a)"), Err(PatternError::Syntax(_))));
        let Err(PatternError::Syntax(what)) = Pattern::parse("a[") else { panic!("it is none") };
        assert_eq!(what, "unclosed character class");
    }
}
