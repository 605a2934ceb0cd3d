//! Replacing every part of a text that an expression fits (RE2's `GlobalReplace`, as Istio's `uriRegexRewrite`).

use std::fmt;

use regex_automata::PatternID;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;

use crate::pattern::{PatternError, search};

/// No longer result is made, in bytes: a path beyond it could not be sent.
const LONGEST: usize = 60 << 10;
/// No more occurrences are replaced: looking for each may read the text to its end, and clients choose the text.
const MOST_OCCURRENCES: usize = 1000;
/// What a thread remembers of the texts that an expression was sought in, about, in bytes.
const REMEMBERED: usize = 1 << 14;

/// An expression, and what stands in the place of each part of a text that it fits.
#[derive(Clone)]
pub struct Substitution {
    pattern: Box<str>,
    template: Box<str>,
    regex: Regex,
    pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Clone, Debug)]
enum Piece {
    Text(Box<str>),
    /// What this group holds; 0 for all that fits.
    Group(usize),
}

impl Substitution {
    /// Reads an expression and its template, in which `\1` to `\9` stand for what the groups hold, `\0` for all that
    /// fits, and `\\` for a backslash.
    ///
    /// # Errors
    /// One of them is none; see [`PatternError`].
    pub fn parse(pattern: &str, template: &str) -> Result<Self, PatternError> {
        let regex = search(pattern)?;
        let pieces = read_template(template, regex.group_info().group_len(PatternID::ZERO))?;
        Ok(Substitution { pattern: pattern.into(), template: template.into(), regex, pieces })
    }

    /// The text with every occurrence replaced, from left to right and none overlapping another; `None` where it
    /// grows beyond 60 KiB, or there are more than a thousand.
    pub fn apply(&self, text: &str) -> Option<String> {
        let mut result = String::with_capacity(text.len());
        let mut copied = 0;
        for (number, found) in self.regex.captures_iter(text).enumerate() {
            let whole = found.get_match()?;
            result.push_str(text.get(copied..whole.start())?);
            self.append(&found, text, &mut result);
            copied = whole.end();
            if result.len() > LONGEST || number == MOST_OCCURRENCES {
                return None;
            }
        }
        result.push_str(text.get(copied..)?);
        (result.len() <= LONGEST).then_some(result)
    }

    /// The expression, as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What it takes, in bytes, with what a thread remembers of texts.
    pub fn bytes(&self) -> usize {
        self.regex.memory_usage() + REMEMBERED
    }

    fn append(&self, found: &Captures, text: &str, result: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(written) => result.push_str(written),
                // A group that took no part in the match holds nothing.
                Piece::Group(number) => {
                    let held = found.get_group(*number).and_then(|span| text.get(span.range()));
                    result.push_str(held.unwrap_or_default());
                }
            }
        }
    }
}

/// `groups` is how many groups the expression has, itself among them.
fn read_template(template: &str, groups: usize) -> Result<Vec<Piece>, PatternError> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut letters = template.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('\\') => text.push('\\'),
            Some(digit @ '0'..='9') => {
                let number = digit as usize - '0' as usize;
                if number >= groups {
                    return Err(PatternError::NoSuchGroup(number));
                }
                pieces.extend((!text.is_empty()).then(|| Piece::Text(text.as_str().into())));
                text.clear();
                pieces.push(Piece::Group(number));
            }
            _ => return Err(PatternError::Template),
        }
    }
    pieces.extend((!text.is_empty()).then(|| Piece::Text(text.into())));
    Ok(pieces)
}

impl fmt::Debug for Substitution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Substitution({:?}, {:?})", self.pattern, self.template)
    }
}

impl PartialEq for Substitution {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.template == other.template
    }
}

impl Eq for Substitution {}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, template: &str, text: &str) -> String {
        Substitution::parse(pattern, template).unwrap().apply(text).unwrap()
    }

    #[test]
    fn every_occurrence_is_replaced_as_re2_does() {
        for (pattern, template, text, result) in [
            ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
            (
                "^/service/([^/]+)(/.*)$",
                r"\2/instance/\1",
                "/service/foo/v1/api",
                "/v1/api/instance/foo",
            ),
            ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
            ("b+", r"[\0]", "/abba/b", "/a[bb]a/[b]"),
            ("a*", "x", "/baaac", "x/xbxcx"),
            ("(x)|(y)", r"<\2>", "/xy", "/<><y>"),
            ("/", r"\\", "/a/b", r"\a\b"),
            ("z", "y", "/untouched", "/untouched"),
            ("é", "e", "/é", "/e"),
        ] {
            assert_eq!(replaced(pattern, template, text), result, "{pattern} {template}");
        }
    }

    #[test]
    fn a_template_names_groups_that_are_there() {
        let error = |pattern, template| Substitution::parse(pattern, template).unwrap_err();
        assert_eq!(error("(a)", r"\2"), PatternError::NoSuchGroup(2));
        assert_eq!(error("a", r"\n"), PatternError::Template);
        assert_eq!(error("a", r"a\"), PatternError::Template);
        assert!(matches!(error("a(", ""), PatternError::Syntax(_)));
        assert_eq!(error(&"a".repeat(1025), ""), PatternError::TooLong);
    }

    #[test]
    fn what_grows_too_long_is_no_path() {
        let grows = Substitution::parse("a", &"b".repeat(1000)).unwrap();
        assert_eq!(grows.apply(&"a".repeat(100)), None);
        assert!(grows.apply(&"a".repeat(50)).is_some());
        let shrinks = Substitution::parse("a", "").unwrap();
        assert_eq!(shrinks.apply(&"a".repeat(1000)).as_deref(), Some(""));
        assert_eq!(shrinks.apply(&"a".repeat(1001)), None);
    }
}
