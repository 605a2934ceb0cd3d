//! The compiled rules of one virtual host: single matches in their order, and an index that finds the first which holds.

use std::cell::OnceCell;
use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_filters::{MatchedPath, Pattern};
use portcullis_model::{PathCase, PathMatch, RequestMatch, Rule};
use rustc_hash::FxBuildHasher;

use crate::RouteQuery;
use crate::aspects::Aspects;
use crate::literal_start::literal_start;
use crate::matching::{ANY_PATH, match_beside_path, match_request, matched_part};
use crate::path_trie::{PathTrie, Reach};
use crate::pattern_crowd::{CROWDED, PatternCrowd, Verdict};
use crate::trie_build::Text;

/// So many matches are tried one after the other as fast as by index, and in less memory.
const FEW: usize = 4;

/// The rules of a virtual host, independent of the table around it, so that the next table can have them too.
///
/// The order of the entries is all that decides; the index merely leaves out what cannot hold.
#[derive(Debug)]
pub(crate) struct HostRoutes {
    /// In the order in which they are considered, those too that never hold here.
    pub(crate) rules: Box<[Arc<Rule>]>,
    pub(crate) entries: Box<[Entry]>,
    pub(crate) looks_at: Aspects,
    index: Option<Box<Index>>,
}

/// One match of one rule in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Index into the rules of the host.
    pub(crate) rule: u32,
    /// Which of the rule's matches; [`Entry::ALWAYS`] where it has none.
    pub(crate) number: u32,
    /// What is left to do when the index says that the path may fit.
    asks: Asks,
}

/// What an entry asks of a request, beside what the index has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// Conditions on other things than the path.
    More,
    /// That the path matches a pattern, and perhaps more.
    Pattern,
}

/// Places of entries by what they ask of the path.
#[derive(Debug)]
struct Index {
    exactly: PathTrie,
    /// Of those for which upper and lower case are the same.
    in_any_case: Option<PathTrie>,
    /// Of patterns that begin alike, so that the tree does not tell them apart.
    crowd: Option<PatternCrowd>,
}

impl HostRoutes {
    pub(crate) fn compile(rules: Box<[Arc<Rule>]>, entries: Box<[Entry]>) -> Self {
        let mut routes = HostRoutes { rules, entries, looks_at: Aspects::default(), index: None };
        let conditions = routes.entries.iter().filter_map(|&entry| routes.conditions(entry));
        routes.looks_at = Aspects::of(conditions);
        if routes.entries.len() > FEW {
            routes.index = Some(Box::new(Index::build(&routes)));
        }
        routes
    }

    /// The first entry that holds, and what of the path it matches.
    pub(crate) fn find(&self, query: &RouteQuery) -> Option<(Entry, MatchedPath)> {
        let Some(index) = &self.index else { return self.find_by_trying(query) };
        let verdict = OnceCell::new();
        let passes = |place| self.holds(place, query, &verdict);
        let mut place = index.exactly.lowest(query.path, u32::MAX, passes);
        if let Some(folded) = &index.in_any_case {
            place = folded.lowest(query.path, place, passes);
        }
        let entry = *self.entries.get(place as usize)?;
        Some((entry, self.conditions(entry).map_or(ANY_PATH, matched_part)))
    }

    /// An entry's conditions; `None` for one that always holds.
    pub(crate) fn conditions(&self, entry: Entry) -> Option<&RequestMatch> {
        self.rules.get(entry.rule as usize)?.matches.get(entry.number as usize)
    }

    fn find_by_trying(&self, query: &RouteQuery) -> Option<(Entry, MatchedPath)> {
        self.entries.iter().find_map(|&entry| match self.conditions(entry) {
            Some(conditions) => Some((entry, match_request(conditions, query).ok()?)),
            None => Some((entry, ANY_PATH)),
        })
    }

    /// Whether an entry holds whose path may fit.
    fn holds<'r>(&'r self, place: u32, query: &RouteQuery, verdict: &LazyVerdict<'r>) -> bool {
        let Some(&entry) = self.entries.get(place as usize) else { return false };
        let conditions = || self.conditions(entry);
        match entry.asks {
            Asks::Nothing => true,
            Asks::More => conditions().is_some_and(|each| match_beside_path(each, query).is_ok()),
            Asks::Pattern => match self.verdict(place, query, verdict) {
                Some(false) => false,
                Some(true) => {
                    conditions().is_some_and(|each| match_beside_path(each, query).is_ok())
                }
                None => conditions().is_some_and(|each| match_request(each, query).is_ok()),
            },
        }
    }

    /// What the crowd says of a pattern, asked once for each path; `None` where the pattern itself has to be.
    fn verdict<'r>(
        &'r self,
        place: u32,
        query: &RouteQuery,
        verdict: &LazyVerdict<'r>,
    ) -> Option<bool> {
        let crowd = self.index.as_ref()?.crowd.as_ref()?;
        verdict.get_or_init(|| crowd.judge(query.path)).as_ref()?.of(place)
    }
}

/// What a crowd of patterns says of a path, once it is asked.
type LazyVerdict<'r> = OnceCell<Option<Verdict<'r>>>;

impl Entry {
    /// The number of a match that is none: the rule has no conditions.
    pub(crate) const ALWAYS: u32 = u32::MAX;

    /// Of a rule without conditions.
    pub(crate) fn always(rule: u32) -> Self {
        Entry { rule, number: Entry::ALWAYS, asks: Asks::Nothing }
    }

    pub(crate) fn new(rule: u32, number: u32, conditions: &RequestMatch) -> Self {
        let asks = match &conditions.path {
            Some(PathMatch::Pattern(_)) => Asks::Pattern,
            _ if conditions.asks_of_a_request_only_its_path() => Asks::Nothing,
            _ => Asks::More,
        };
        Entry { rule, number, asks }
    }
}

impl Index {
    fn build(routes: &HostRoutes) -> Self {
        let starts: Vec<Start<'_>> = routes
            .entries
            .iter()
            .map(|&entry| routes.conditions(entry).map_or(Start::ANYWHERE, Start::of))
            .collect();
        let of_case = |case| -> Vec<Text<'_>> {
            let places = starts.iter().zip(0..).filter(|(start, _)| start.case == case);
            places.map(|(start, place)| Text::new(start.text(), start.reach, place)).collect()
        };
        let folded = of_case(PathCase::Ignored);
        Index {
            exactly: PathTrie::build(of_case(PathCase::Sensitive), PathCase::Sensitive),
            in_any_case: (!folded.is_empty()).then(|| PathTrie::build(folded, PathCase::Ignored)),
            crowd: crowd(routes, &starts),
        }
    }
}

/// Of the patterns of which many begin alike.
fn crowd(routes: &HostRoutes, starts: &[Start<'_>]) -> Option<PatternCrowd> {
    let pattern = |entry: &Entry| match &routes.conditions(*entry)?.path {
        Some(PathMatch::Pattern(pattern)) => Some(pattern),
        _ => None,
    };
    let places = (0..).zip(&routes.entries).zip(starts);
    let patterns = || {
        places
            .clone()
            .filter_map(|((place, entry), start)| Some((place, pattern(entry)?, start.text())))
    };
    let mut alike: HashMap<&[u8], usize, FxBuildHasher> = HashMap::default();
    for (_, _, start) in patterns() {
        *alike.entry(start).or_default() += 1;
    }
    let crowded =
        patterns().filter(|(_, _, start)| alike.get(start).is_some_and(|&many| many >= CROWDED));
    let crowded: Vec<_> = crowded.map(|(place, pattern, _)| (place, pattern)).collect();
    PatternCrowd::build(&crowded, routes.entries.len())
}

/// With what a path has to begin.
struct Start<'m> {
    text: StartText<'m>,
    reach: Reach,
    case: PathCase,
}

enum StartText<'m> {
    Written(&'m str),
    OfPattern(Vec<u8>),
}

impl<'m> Start<'m> {
    const ANYWHERE: Start<'static> =
        Start { text: StartText::Written(""), reach: Reach::Below, case: PathCase::Sensitive };

    fn of(conditions: &'m RequestMatch) -> Self {
        let (text, reach) = match &conditions.path {
            None => return Start::ANYWHERE,
            Some(PathMatch::Pattern(pattern)) => return Start::of_pattern(pattern),
            Some(PathMatch::Exact(text)) => (text, Reach::Whole),
            Some(PathMatch::Prefix(text)) => (text, Reach::Below),
            Some(PathMatch::Segments(text)) => (text, Reach::Segments),
        };
        Start { text: StartText::Written(text), reach, case: conditions.path_case }
    }

    fn of_pattern(pattern: &Pattern) -> Self {
        let text = StartText::OfPattern(literal_start(pattern.as_str()));
        Start { text, ..Start::ANYWHERE }
    }

    fn text(&self) -> &[u8] {
        match &self.text {
            StartText::Written(text) => text.as_bytes(),
            StartText::OfPattern(text) => text,
        }
    }
}
