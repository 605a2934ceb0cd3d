//! Many patterns that begin alike, held against a path at once.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_filters::Pattern;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::{Pool, PoolGuard};
use regex_automata::{Anchored, Input, MatchKind, PatternID, PatternSet};

/// So many are tried one after the other about as fast.
pub(crate) const CROWDED: usize = 8;
/// More are tried one by one.
const MOST: usize = 1 << 10;
/// What the patterns of a crowd may take once their repetitions are written out, in bytes: it bounds what one byte of
/// a path can cost.
const LARGEST: usize = 1 << 18;
/// What a thread remembers for each pattern of the paths that it has seen, in bytes.
const REMEMBERED: usize = 1 << 13;
/// And for all of them.
const MOST_REMEMBERED: usize = 1 << 18;
/// After so many paths that were too much for it the crowd is not asked any more, whoever sends them.
const PATIENCE: u32 = 16;

/// Patterns of which it is found in one go over a path which match it.
pub(crate) struct PatternCrowd {
    automaton: DFA,
    /// By place of the entry, its number in the crowd; [`NOT_IN_CROWD`] for others.
    numbers: Box<[u32]>,
    threads: Pool<Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>,
    failures: AtomicU32,
}

const NOT_IN_CROWD: u32 = u32::MAX;

/// What one search needs.
struct Scratch {
    cache: Cache,
    matched: PatternSet,
}

/// Which patterns of a crowd match one path.
pub(crate) struct Verdict<'c> {
    scratch: PoolGuard<'c, Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>,
    numbers: &'c [u32],
}

impl PatternCrowd {
    /// Of patterns with the places of their entries, of which there are `entries`; `None` where they are too few, or
    /// too large together.
    pub(crate) fn build(patterns: &[(u32, &Pattern)], entries: usize) -> Option<Self> {
        let mut patterns = patterns.get(..MOST).unwrap_or(patterns);
        while patterns.len() >= CROWDED {
            if let Some(automaton) = automaton(patterns) {
                return Some(Self::of(automaton, patterns, entries));
            }
            patterns = patterns.get(..patterns.len() / 2)?;
        }
        None
    }

    fn of(automaton: DFA, patterns: &[(u32, &Pattern)], entries: usize) -> Self {
        let mut numbers = vec![NOT_IN_CROWD; entries];
        for (number, (place, _)) in (0..).zip(patterns) {
            if let Some(entry) = numbers.get_mut(*place as usize) {
                *entry = number;
            }
        }
        let of_threads = automaton.clone();
        let scratch = move || Scratch {
            cache: of_threads.create_cache(),
            matched: PatternSet::new(of_threads.pattern_len()),
        };
        PatternCrowd {
            automaton,
            numbers: numbers.into(),
            threads: Pool::new(Box::new(scratch)),
            failures: AtomicU32::new(0),
        }
    }

    /// Which of the patterns match the path; `None` where each has to be asked.
    pub(crate) fn judge(&self, path: &str) -> Option<Verdict<'_>> {
        if self.failures.load(Ordering::Relaxed) >= PATIENCE {
            return None;
        }
        let mut scratch = self.threads.get();
        let Scratch { cache, matched } = &mut *scratch;
        matched.clear();
        let input = Input::new(path).anchored(Anchored::Yes);
        match self.automaton.try_which_overlapping_matches(cache, &input, matched) {
            Ok(()) => Some(Verdict { scratch, numbers: &self.numbers }),
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

impl Verdict<'_> {
    /// Whether the pattern of the entry in this place matches; `None` where it is none of the crowd.
    pub(crate) fn of(&self, place: u32) -> Option<bool> {
        let number = *self.numbers.get(place as usize)?;
        let pattern = PatternID::new(usize::try_from(number).ok()?).ok()?;
        (number != NOT_IN_CROWD).then(|| self.scratch.matched.contains(pattern))
    }
}

fn automaton(patterns: &[(u32, &Pattern)]) -> Option<DFA> {
    let whole = patterns.iter().map(|(_, pattern)| pattern.whole());
    DFA::builder()
        .configure(
            DFA::config()
                .match_kind(MatchKind::All)
                .unicode_word_boundary(true)
                .cache_capacity((patterns.len() * REMEMBERED).min(MOST_REMEMBERED))
                .skip_cache_capacity_check(true)
                .minimum_cache_clear_count(Some(2))
                .minimum_bytes_per_state(Some(10)),
        )
        .thompson(thompson::Config::new().nfa_size_limit(Some(LARGEST)))
        .build_many(&whole.collect::<Vec<_>>())
        .ok()
}

impl fmt::Debug for PatternCrowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatternCrowd({})", self.automaton.pattern_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[String]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    /// In every second place.
    fn crowd(patterns: &[Pattern]) -> Option<PatternCrowd> {
        let places: Vec<_> = (0..).step_by(2).zip(patterns).collect();
        PatternCrowd::build(&places, patterns.len() * 2)
    }

    #[test]
    fn all_that_match_the_whole_path_are_found_and_no_others() {
        let mut texts: Vec<_> = (0..20).map(|n| format!("/[a-z]+/{n}(/.*)?")).collect();
        texts
            .extend(["(?i)/A/1", "/a|/b/1", r"/a/1\b", "^/a/1$", "/a/1\u{e4}?"].map(str::to_owned));
        let patterns = parse(&texts);
        let crowd = crowd(&patterns).unwrap();
        for path in ["/a/1", "/A/1", "/a/1/x", "/a/11", "/a", "", "/a/1\u{e4}", "/b/1"] {
            let verdict = crowd.judge(path);
            let Some(verdict) = verdict else {
                assert!(!path.is_ascii(), "{path}");
                continue;
            };
            for (place, pattern) in (0..).step_by(2).zip(&patterns) {
                assert_eq!(verdict.of(place), Some(pattern.matches(path)), "{path} {pattern}");
                assert_eq!(verdict.of(place + 1), None);
            }
        }
    }

    #[test]
    fn few_or_huge_ones_are_no_crowd() {
        let few: Vec<_> = (0..CROWDED - 1).map(|n| format!("/{n}")).collect();
        assert!(crowd(&parse(&few)).is_none());
        let huge: Vec<_> = (0..CROWDED).map(|n| format!("/{n}.{{1,200}}")).collect();
        assert!(crowd(&parse(&huge)).is_none());
    }

    #[test]
    fn paths_that_are_too_much_are_given_up_on_and_then_the_crowd_is() {
        let texts: Vec<_> = (16..32).map(|n| format!("/.*a[ab]{{{n}}}")).collect();
        let patterns = parse(&texts);
        let crowd = crowd(&patterns).unwrap();
        let mut bits = 1_u32;
        let path: String = std::iter::once('/')
            .chain((0..1 << 14).map(|_| {
                bits ^= bits << 13;
                bits ^= bits >> 17;
                bits ^= bits << 5;
                if bits & 1 == 0 { 'a' } else { 'b' }
            }))
            .collect();
        for _ in 0..PATIENCE {
            assert!(crowd.judge(&path).is_none());
        }
        assert!(crowd.judge("/").is_none(), "it is not asked any more");
    }
}
