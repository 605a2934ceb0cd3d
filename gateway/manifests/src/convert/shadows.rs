//! Which rules of a host can never match, or lose requests that they were perhaps written for.

use std::collections::BTreeMap;

use portcullis_model::{PathCase, PathMatch, RequestMatch};

use super::narrowing::{is_path_within, is_text_within};

/// So many earlier matches of one path are compared with a later one; beyond them only equal ones are found, so that
/// ten thousand rules of one path cost no more than a hundred.
const MOST_OF_A_PATH: usize = 64;

/// The matches of the rules so far, by what they ask of the path. Positions are those of rules.
#[derive(Default)]
pub(crate) struct Earlier<'e> {
    /// By the text of an exact path or a prefix.
    paths: BTreeMap<&'e str, Vec<Seen<'e>>>,
    /// Of patterns, and of no path at all.
    others: Vec<Seen<'e>>,
    prefix_lengths: BTreeMap<usize, usize>,
    /// Those that were too many to be compared, in a form that is equal where they are.
    equal: BTreeMap<String, usize>,
}

/// An earlier match.
#[derive(Clone, Copy)]
struct Seen<'e> {
    conditions: &'e RequestMatch,
    position: usize,
}

/// What an earlier rule takes of a match's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All: the match never holds. The position of the rule.
    All(usize),
    /// Some, though it is not the narrower one.
    Some(usize),
}

impl<'e> Earlier<'e> {
    /// What the rules so far take of a match's requests. `is_other` says whose rules count for a part of them.
    pub(crate) fn loss(
        &self,
        conditions: &RequestMatch,
        is_other: impl Fn(usize) -> bool,
    ) -> Option<Loss> {
        let mut some = None;
        for seen in self.near(conditions) {
            if covers(seen.conditions, conditions) {
                return Some(Loss::All(seen.position));
            }
            if some.is_none() && is_other(seen.position) && crosses(seen.conditions, conditions) {
                some = Some(Loss::Some(seen.position));
            }
        }
        // The key is costly, and hardly ever are there so many.
        let equal = (!self.equal.is_empty()).then(|| self.equal.get(&key(conditions))).flatten();
        equal.map(|position| Loss::All(*position)).or(some)
    }

    /// Those that could take one of its requests, the least particular first.
    fn near(&self, conditions: &RequestMatch) -> impl Iterator<Item = Seen<'e>> {
        let text = path_text(conditions);
        let whole = text.and_then(|text| self.paths.get(text)).into_iter().flatten();
        let lengths = text.map(|text| self.prefix_lengths.range(..text.len()));
        let shorter = lengths
            .into_iter()
            .flatten()
            .filter_map(move |(length, _)| self.paths.get(text?.get(..*length)?));
        let is_prefix =
            |seen: &&Seen<'e>| !matches!(seen.conditions.path, Some(PathMatch::Exact(_)));
        let shorter = shorter.flatten().filter(is_prefix);
        self.others.iter().chain(shorter).chain(whole).copied()
    }

    /// Takes in a match of the rule at this position.
    pub(crate) fn insert(&mut self, conditions: &'e RequestMatch, position: usize) {
        let seen = Seen { conditions, position };
        let list = match path_text(conditions) {
            Some(text) => {
                *self.prefix_lengths.entry(text.len()).or_default() += 1;
                self.paths.entry(text).or_default()
            }
            None => &mut self.others,
        };
        if list.len() < MOST_OF_A_PATH {
            list.push(seen);
        } else {
            self.equal.entry(key(conditions)).or_insert(position);
        }
    }
}

fn path_text(conditions: &RequestMatch) -> Option<&str> {
    match (&conditions.path, conditions.path_case) {
        (Some(PathMatch::Exact(text) | PathMatch::Prefix(text)), PathCase::Sensitive) => Some(text),
        _ => None,
    }
}

/// Whether every request that fulfils `later` fulfils `earlier`.
fn covers(earlier: &RequestMatch, later: &RequestMatch) -> bool {
    let text = |wanted: &Option<_>, actual: &Option<_>| match (wanted, actual) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(actual)) => is_text_within(wanted, actual),
    };
    let ports = earlier.port.is_none() || earlier.port == later.port;
    let gateways = earlier.gateways.is_empty()
        || !later.gateways.is_empty()
            && later.gateways.iter().all(|name| earlier.gateways.contains(name));
    !earlier.never
        && ports
        && gateways
        && covers_path(earlier, later)
        && text(&earlier.scheme, &later.scheme)
        && text(&earlier.method, &later.method)
        && text(&earlier.authority, &later.authority)
        && earlier.headers.iter().all(|wanted| {
            later.headers.iter().any(|actual| {
                actual.name == wanted.name
                    && (wanted.value.is_none() || text(&wanted.value, &actual.value))
            })
        })
        && earlier.query.iter().all(|wanted| {
            later.query.iter().any(|actual| {
                actual.name == wanted.name
                    && (wanted.value.is_none() || text(&wanted.value, &actual.value))
            })
        })
        && earlier.without_headers.iter().all(|wanted| later.without_headers.contains(wanted))
        && earlier.claims.iter().all(|wanted| later.claims.contains(wanted))
}

fn covers_path(earlier: &RequestMatch, later: &RequestMatch) -> bool {
    match (&earlier.path, &later.path) {
        (None, _) => true,
        (Some(outer), None) => is_path_within(outer, &PathMatch::Prefix("/".into())),
        (Some(outer), Some(inner)) => {
            let same_case = earlier.path_case == later.path_case;
            let any = matches!(outer, PathMatch::Prefix(prefix) if **prefix == *"/");
            any || same_case && is_path_within(outer, inner)
        }
    }
}

/// Whether both take some requests and each takes some that the other does not, as far as that can be told.
fn crosses(earlier: &RequestMatch, later: &RequestMatch) -> bool {
    !earlier.never && !later.never && !covers(later, earlier) && can_both_hold(earlier, later)
}

fn can_both_hold(one: &RequestMatch, other: &RequestMatch) -> bool {
    let texts = |one: &Option<_>, other: &Option<_>| match (one, other) {
        (Some(one), Some(other)) => is_text_within(one, other) || is_text_within(other, one),
        _ => true,
    };
    let paths = covers_path(one, other) || covers_path(other, one);
    let ports = one.port.is_none() || other.port.is_none() || one.port == other.port;
    let gateways = one.gateways.is_empty()
        || other.gateways.is_empty()
        || one.gateways.iter().any(|name| other.gateways.contains(name));
    let headers = one.headers.iter().all(|header| {
        let mut same = other.headers.iter().filter(|each| each.name == header.name);
        same.all(|each| texts(&header.value, &each.value))
    });
    let absent = |one: &RequestMatch, other: &RequestMatch| {
        one.without_headers.iter().any(|without| {
            other.headers.iter().any(|with| {
                with.name == without.name
                    && (without.value.is_none() || without.value == with.value)
            })
        })
    };
    let query = one.query.iter().all(|parameter| {
        let mut same = other.query.iter().filter(|each| each.name == parameter.name);
        same.all(|each| texts(&parameter.value, &each.value))
    });
    let claims = one.claims.iter().all(|claim| {
        let mut same = other.claims.iter().filter(|each| each.path == claim.path);
        same.all(|each| each.sense == claim.sense && texts(&claim.value, &each.value))
    });
    let listeners = ports && gateways;
    let lines = texts(&one.scheme, &other.scheme) && texts(&one.method, &other.method);
    let fields = headers && query && claims && !absent(one, other) && !absent(other, one);
    paths && listeners && lines && texts(&one.authority, &other.authority) && fields
}

/// A text that is equal for equal conditions.
fn key(conditions: &RequestMatch) -> String {
    let mut sorted = RequestMatch { origin: None, ..conditions.clone() };
    sorted.headers.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    sorted.without_headers.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    sorted.query.sort_by(|a, b| a.name.cmp(&b.name));
    format!("{sorted:?}")
}
