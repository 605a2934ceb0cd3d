//! Regular expressions that match a whole text (RE2's language, as Istio's `regex`).
//!
//! Nearly every expression is compiled to an automaton that takes one step for each byte and remembers nothing, so that
//! no text costs more than its length. Where that would be too large, a small expression is matched step by step.

use std::fmt;
use std::sync::Arc;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{Compiler, Config as NfaConfig, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, meta};

use crate::re2::in_ascii;

/// The longest expression, in bytes.
const LONGEST: usize = 1 << 10;
/// The largest expression once its repetitions are written out, in bytes.
const LARGEST: usize = 1 << 17;
/// The largest automaton, in bytes.
const LARGEST_AUTOMATON: usize = 1 << 19;
/// The largest expression that is matched without one, in bytes: each byte of a text may be held against all of it.
const LARGEST_SLOW: usize = 1 << 13;
/// What a thread remembers of the texts that an expression without automaton was held against, in bytes.
const REMEMBERED: usize = 1 << 16;

/// An expression of which a match covers the whole text. Matching takes time linear in the text.
#[derive(Clone)]
pub struct Pattern {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    matcher: Matcher,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are automata, and each has its own place in memory"
)]
enum Matcher {
    Automaton(dense::DFA<Vec<u32>>),
    Slow(meta::Regex),
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
    /// So many parts of it may have begun at once that each byte of a text would cost too much.
    #[error("the expression cannot be matched in bounded time: what it repeats may begin anywhere")]
    Unbounded,
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
    /// The most that one may take, in bytes.
    pub const MOST_BYTES: usize = LARGEST_AUTOMATON;

    /// Reads an expression.
    ///
    /// # Errors
    /// It is too long, too large, costs too much or is no expression.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        // What is no expression by itself must not become one by the group around it.
        check(text)?;
        let matcher = Matcher::build(&whole(text))?;
        Ok(Pattern { compiled: Arc::new(Compiled { text: text.into(), matcher }) })
    }

    /// Whether it matches a whole text.
    pub fn matches(&self, text: &str) -> bool {
        match &self.compiled.matcher {
            Matcher::Automaton(automaton) => {
                let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
                // It gives up on nothing.
                automaton.try_search_fwd(&input).is_ok_and(|found| found.is_some())
            }
            Matcher::Slow(regex) => regex.is_match(text),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.compiled.text
    }

    /// The same for an automaton of many: an expression that has to match from the first byte to the last.
    pub fn whole(&self) -> String {
        whole(&self.compiled.text)
    }

    /// What it takes, in bytes; for one without automaton also what threads remember.
    pub fn bytes(&self) -> usize {
        match &self.compiled.matcher {
            Matcher::Automaton(automaton) => size_of::<Compiled>() + automaton.memory_usage(),
            Matcher::Slow(_) => LARGEST_AUTOMATON,
        }
    }
}

impl Matcher {
    fn build(whole: &str) -> Result<Self, PatternError> {
        let nfa = written_out(whole, NfaConfig::new())?;
        match automaton(&nfa, StartKind::Anchored) {
            Some(automaton) => Ok(Matcher::Automaton(automaton)),
            None if nfa.memory_usage() <= LARGEST_SLOW => {
                let config = meta::Config::new().which_captures(WhichCaptures::None);
                regex(whole, config.hybrid_cache_capacity(REMEMBERED)).map(Matcher::Slow)
            }
            None => Err(PatternError::Unbounded),
        }
    }
}

/// Whether a text is an expression within the bounds of length.
pub(crate) fn check(text: &str) -> Result<(), PatternError> {
    if text.len() > LONGEST {
        return Err(PatternError::TooLong);
    }
    let read = syntax::parse(text);
    read.map(drop).map_err(|error| PatternError::Syntax(last_line(&error.to_string())))
}

/// An expression with its groups, to be found anywhere in a text: every search takes steps in proportion to the text,
/// as there are automata for both of its directions, which fit in what a thread remembers.
pub(crate) fn search(text: &str) -> Result<meta::Regex, PatternError> {
    check(text)?;
    let text = in_ascii(text);
    for reverse in [false, true] {
        let nfa = written_out(&text, NfaConfig::new().reverse(reverse))?;
        automaton(&nfa, StartKind::Both).ok_or(PatternError::Unbounded)?;
    }
    regex(&text, meta::Config::new().hybrid_cache_capacity(2 * LARGEST_AUTOMATON))
}

fn whole(text: &str) -> String {
    format!("^(?:{})$", in_ascii(text))
}

fn written_out(text: &str, config: NfaConfig) -> Result<NFA, PatternError> {
    let config = config.which_captures(WhichCaptures::None).nfa_size_limit(Some(LARGEST));
    Compiler::new().configure(config).build(text).map_err(|error| match error.size_limit() {
        Some(_) => PatternError::TooLarge,
        None => PatternError::Syntax("the expression cannot be put together".to_owned()),
    })
}

/// `None` where it would be too large.
fn automaton(nfa: &NFA, starts: StartKind) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .start_kind(starts)
        .dfa_size_limit(Some(LARGEST_AUTOMATON))
        .determinize_size_limit(Some(LARGEST_AUTOMATON));
    dense::Builder::new().configure(config).build_from_nfa(nfa).ok()
}

fn regex(text: &str, config: meta::Config) -> Result<meta::Regex, PatternError> {
    meta::Builder::new().configure(config).build(text).map_err(|_| PatternError::TooLarge)
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
    use crate::Substitution;

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
        assert!(matches!(Pattern::parse("(?x)a #"), Err(PatternError::Syntax(_))));
        let Err(PatternError::Syntax(what)) = Pattern::parse("a[") else { panic!("it is none") };
        assert_eq!(what, "unclosed character class");
    }

    #[test]
    fn what_may_begin_anywhere_is_matched_where_it_is_small_and_else_refused() {
        assert_eq!(Pattern::parse("[ab]*a[ab]{900}"), Err(PatternError::Unbounded));
        assert_eq!(Substitution::parse("a[ab]{900}", ""), Err(PatternError::Unbounded));
        let small = Pattern::parse("[ab]*a[ab]{30}").unwrap();
        assert!(matches!(small.compiled.matcher, Matcher::Slow(_)));
        assert!(small.bytes() > 100 * Pattern::parse("/api/v[0-9]+/.*").unwrap().bytes());
        let last = "b".repeat(30);
        assert!(small.matches(&format!("ba{last}")) && !small.matches(&format!("ab{last}")));
    }

    /// Whatever the text: of what is written most often in routes.
    #[test]
    fn usual_expressions_have_an_automaton() {
        for text in [
            "/x/.{1,200}",
            "/x/[^/]{1,255}/y",
            "a{1000}",
            r"(?i).*(bot|crawler|spider|curl|wget).*",
            r"/(en|de)(-[A-Z]{2})?/(products|categories)/\d+(\?.*)?",
            r"https?://([\w-]+[.])*example[.]com(:\d+)?",
            "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "(.*;)? *user=(alice|bob)(;.*)?",
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert!(matches!(pattern.compiled.matcher, Matcher::Automaton(_)), "{text}");
        }
    }

    #[test]
    fn classes_are_those_of_re2() {
        let matches = |pattern, text| Pattern::parse(pattern).unwrap().matches(text);
        assert!(matches(r"\w+", "a_9") && !matches(r"\w+", "é"));
        assert!(matches(r"\W", "é") && matches(r"[^\w]", "é") && !matches(r"[\D]", "7"));
        assert!(matches(r".*\bx", "éx") && !matches(r".*\bx", "ax"));
        assert!(matches(r"\\w\.", r"\w."));
        // What is of Unicode by its own nature stays so.
        assert!(matches(r"\pL", "é") && matches("(?i)É", "é") && matches("[^a]", "é"));
    }

    proptest::proptest! {
        /// On ASCII texts an expression means what the library means by it, however it is put in other words.
        #[test]
        fn other_words_and_automata_change_no_verdict(
            text in r"([ab1_.|*+?()^-]|\\[wWdDsSbB\\]|\[\^?|\]|\{1,3\}){0,10}",
            held in "[ab1_ .-]{0,6}",
        ) {
            let plain = meta::Regex::new(&format!("^(?:{text})$"));
            match (Pattern::parse(&text), plain) {
                (Ok(pattern), Ok(plain)) => {
                    proptest::prop_assert_eq!(pattern.matches(&held), plain.is_match(&held));
                }
                (Ok(_), Err(error)) => proptest::prop_assert!(false, "{}", error),
                (Err(_), _) => {}
            }
        }
    }
}
