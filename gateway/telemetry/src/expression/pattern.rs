//! The regular expressions of `matches`: automata, so that no text costs more than its length.

use std::fmt;
use std::sync::Arc;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// The longest one, in bytes.
const LONGEST: usize = 1 << 10;
/// The largest one once its repetitions are written out, in bytes.
const LARGEST: usize = 1 << 17;
/// The largest automaton, in bytes.
const LARGEST_AUTOMATON: usize = 1 << 19;

/// A regular expression that is looked for anywhere in a text.
#[derive(Clone)]
pub(crate) struct Pattern(Arc<dense::DFA<Vec<u32>>>);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err("the pattern is longer than 1 KiB".to_owned());
        }
        let bytes = syntax::Config::new().utf8(false);
        syntax::parse_with(text, &bytes).map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            format!("the pattern is refused: {}", last.trim_start_matches("error: "))
        })?;
        let written_out = thompson::Config::new()
            .utf8(false)
            .which_captures(thompson::WhichCaptures::None)
            .nfa_size_limit(Some(LARGEST));
        let bounded = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .unicode_word_boundary(true)
            .dfa_size_limit(Some(LARGEST_AUTOMATON))
            .determinize_size_limit(Some(LARGEST_AUTOMATON));
        let mut builder = dense::Builder::new();
        builder.syntax(bytes).thompson(written_out).configure(bounded);
        let automaton = builder.build(text);
        let too_large =
            |_| "the pattern is too large once its repetitions are written out".to_owned();
        automaton.map(|automaton| Pattern(Arc::new(automaton))).map_err(too_large)
    }

    /// Whether it matches a part of a text; not known, where it asks for borders of words and the text is not ASCII.
    pub(crate) fn is_in(&self, text: &[u8]) -> Option<bool> {
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        self.0.try_search_fwd(&input).ok().map(|found| found.is_some())
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.memory_usage()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({} bytes)", self.bytes())
    }
}
