//! Things by host, of which a version with few changes costs what changed, and shares all else with the one before.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use portcullis_message::HostPattern;

/// So many things stand in one leaf at most.
const LEAF: usize = 64;

/// What stands under a host.
pub trait OfHost {
    /// The host.
    fn host(&self) -> &HostPattern;
}

/// Things in the order of their hosts. Versions share the leaves in which nothing changed.
pub struct ByHost<T> {
    leaves: Vec<Leaf<T>>,
}

/// A few things that stand beside each other; never empty.
type Leaf<T> = Arc<[Arc<T>]>;

/// What became of one thing: as it was, and as it is.
#[derive(Debug)]
pub struct Change<'c, T> {
    /// `None` where it is new.
    pub before: Option<&'c Arc<T>>,
    /// `None` where it is gone.
    pub now: Option<&'c Arc<T>>,
}

impl<T: OfHost> ByHost<T> {
    /// The same with other things under some hosts; `None` is nothing.
    #[must_use]
    pub fn with(&self, changes: &BTreeMap<HostPattern, Option<Arc<T>>>) -> Self {
        let mut changes = changes.iter().peekable();
        let mut leaves = Vec::with_capacity(self.leaves.len() + 1);
        let nexts = self.leaves.iter().skip(1).map(Some).chain([None]);
        for (leaf, next) in self.leaves.iter().zip(nexts) {
            let end = next.and_then(|next| next.first()).map(|first| first.host());
            let is_here = |host: &HostPattern| end.is_none_or(|end| host < end);
            let mut own = Vec::new();
            while let Some(change) = changes.next_if(|(host, _)| is_here(host)) {
                own.push(change);
            }
            match own.as_slice() {
                [] => leaves.push(Arc::clone(leaf)),
                own => append(&mut leaves, changed(leaf, own)),
            }
        }
        let rest: Vec<_> = changes.collect();
        append(&mut leaves, changed(&[], &rest));
        ByHost { leaves }
    }

    /// What is otherwise than it was, by host. What is the very same is passed over, and so may be what is equal.
    pub fn changes_since<'c>(&'c self, before: &'c Self) -> Vec<Change<'c, T>> {
        let (ours, theirs) = (self.addresses(), before.addresses());
        let mut now = self.items_apart(&theirs).peekable();
        let mut was = before.items_apart(&ours).peekable();
        let mut changes = Vec::new();
        loop {
            let order = match (was.peek(), now.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(was), Some(now)) => was.host().cmp(now.host()),
            };
            let change = Change {
                before: if order == Ordering::Greater { None } else { was.next() },
                now: if order == Ordering::Less { None } else { now.next() },
            };
            match (change.before, change.now) {
                (Some(before), Some(now)) if Arc::ptr_eq(before, now) => {}
                _ => changes.push(change),
            }
        }
    }

    /// What stands under exactly this host.
    pub fn of<'s>(&'s self, host: &'s HostPattern) -> impl Iterator<Item = &'s Arc<T>> {
        let is_before = |leaf: &Leaf<T>| leaf.last().is_some_and(|last| last.host() < host);
        let first = self.leaves.partition_point(is_before);
        let near = self.leaves.iter().skip(first).flat_map(|leaf| leaf.iter());
        near.skip_while(move |item| item.host() < host).take_while(move |item| item.host() == host)
    }

    fn addresses(&self) -> HashSet<*const Arc<T>> {
        self.leaves.iter().map(|leaf| leaf.as_ptr()).collect()
    }

    /// Those in leaves that are none of these.
    fn items_apart<'s>(
        &'s self,
        shared: &HashSet<*const Arc<T>>,
    ) -> impl Iterator<Item = &'s Arc<T>> {
        let apart = self.leaves.iter().filter(|leaf| !shared.contains(&leaf.as_ptr()));
        apart.flat_map(|leaf| leaf.iter())
    }
}

impl<T> ByHost<T> {
    /// All of them.
    pub fn iter(&self) -> Iter<'_, T> {
        fn items<T>(leaf: &Leaf<T>) -> std::slice::Iter<'_, Arc<T>> {
            leaf.iter()
        }
        Iter(self.leaves.iter().flat_map(items))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Puts others in the place of some.
    pub fn replace(&mut self, mut other: impl FnMut(&Arc<T>) -> Option<Arc<T>>) {
        for leaf in &mut self.leaves {
            let others: Vec<Option<Arc<T>>> = leaf.iter().map(&mut other).collect();
            if others.iter().any(Option::is_some) {
                let pairs = leaf.iter().zip(others);
                *leaf = pairs.map(|(item, other)| other.unwrap_or_else(|| item.clone())).collect();
            }
        }
    }
}

/// What stands in a leaf behind changes in their order.
fn changed<T: OfHost>(leaf: &[Arc<T>], changes: &[(&HostPattern, &Option<Arc<T>>)]) -> Vec<Arc<T>> {
    let mut items = Vec::with_capacity(leaf.len() + changes.len());
    let mut old = leaf.iter().peekable();
    for (host, item) in changes {
        while let Some(before) = old.next_if(|old| old.host() < *host) {
            items.push(Arc::clone(before));
        }
        while old.next_if(|old| old.host() == *host).is_some() {}
        items.extend(item.as_ref().map(Arc::clone));
    }
    items.extend(old.map(Arc::clone));
    items
}

/// Puts items behind others, into the last leaf where they find room there.
fn append<T>(leaves: &mut Vec<Leaf<T>>, mut items: Vec<Arc<T>>) {
    // Joined to nothing, the last leaf would be a copy, and shared no more.
    if !items.is_empty()
        && items.len() < LEAF / 4
        && let Some(last) = leaves.pop_if(|last| last.len() + items.len() <= LEAF)
    {
        items.splice(..0, last.iter().map(Arc::clone));
    }
    leaves.extend(split(items));
}

/// A leaf, or several where it would be too large.
fn split<T>(items: Vec<Arc<T>>) -> impl Iterator<Item = Leaf<T>> {
    let leaves = items.len().div_ceil(LEAF).max(1);
    let size = items.len().div_ceil(leaves);
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let leaf: Leaf<T> = items.by_ref().take(size).collect();
        (!leaf.is_empty()).then_some(leaf)
    })
}

/// In any order; those under one host stay in theirs.
impl<T: OfHost> FromIterator<Arc<T>> for ByHost<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(items: I) -> Self {
        let mut items: Vec<Arc<T>> = items.into_iter().collect();
        items.sort_by(|one, other| one.host().cmp(other.host()));
        ByHost { leaves: split(items).collect() }
    }
}

impl<T: OfHost> FromIterator<T> for ByHost<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().map(Arc::new).collect()
    }
}

impl<T: OfHost> From<Vec<T>> for ByHost<T> {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

/// All things of a [`ByHost`].
pub struct Iter<'i, T>(Items<'i, T>);

type Items<'i, T> = std::iter::FlatMap<
    std::slice::Iter<'i, Leaf<T>>,
    std::slice::Iter<'i, Arc<T>>,
    fn(&'i Leaf<T>) -> std::slice::Iter<'i, Arc<T>>,
>;

impl<'i, T> Iterator for Iter<'i, T> {
    type Item = &'i Arc<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Iter(self.0.clone())
    }
}

impl<'i, T> IntoIterator for &'i ByHost<T> {
    type Item = &'i Arc<T>;
    type IntoIter = Iter<'i, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// As of a slice; for tests.
impl<T> Index<usize> for ByHost<T> {
    type Output = T;

    #[expect(clippy::expect_used, reason = "what an index does where there is nothing")]
    fn index(&self, index: usize) -> &T {
        self.iter().nth(index).expect("so many there are")
    }
}

impl<T: OfHost + PartialEq> PartialEq for ByHost<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |change: &Change<'_, T>| change.before == change.now;
        self.changes_since(other).iter().all(is_same)
    }
}

impl<T> Clone for ByHost<T> {
    fn clone(&self) -> Self {
        ByHost { leaves: self.leaves.clone() }
    }
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        ByHost { leaves: Vec::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for ByHost<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Item(HostPattern, u32);

    impl OfHost for Item {
        fn host(&self) -> &HostPattern {
            &self.0
        }
    }

    fn host(number: u16) -> HostPattern {
        HostPattern::Exact(format!("h{number}").into())
    }

    proptest! {
        /// Changing is as if made anew, and the changes are those that were made.
        #[test]
        fn changes_are_as_if_all_were_made_anew(
            first in prop::collection::btree_map(0u16..400, 0u32..9, 0..300),
            steps in prop::collection::vec(prop::collection::btree_map(0u16..400, prop::option::of(0u32..9), 0..20), 1..5),
        ) {
            let mut wanted: BTreeMap<HostPattern, u32> = first.iter().map(|(number, value)| (host(*number), *value)).collect();
            let anew = |wanted: &BTreeMap<HostPattern, u32>| -> ByHost<Item> { wanted.iter().map(|(host, value)| Item(host.clone(), *value)).collect() };
            let mut made = anew(&wanted);
            for step in steps {
                let changes: BTreeMap<_, _> = step.iter().map(|(number, value)| (host(*number), value.map(|value| Arc::new(Item(host(*number), value))))).collect();
                let next = made.with(&changes);
                for (host, item) in &changes {
                    match item {
                        Some(item) => drop(wanted.insert(host.clone(), item.1)),
                        None => drop(wanted.remove(host)),
                    }
                }
                prop_assert_eq!(&next, &anew(&wanted));
                prop_assert!(next.iter().map(|item| (&item.0, item.1)).eq(wanted.iter().map(|(host, value)| (host, *value))));
                prop_assert!(next.leaves.iter().all(|leaf| !leaf.is_empty() && leaf.len() <= LEAF));
                for change in next.changes_since(&made) {
                    let host = change.before.or(change.now).unwrap().host();
                    let is_wanted = changes.contains_key(host);
                    let is_equal = change.before.is_some() && change.before == change.now;
                    prop_assert!(is_wanted || is_equal, "{host}");
                }
                for number in 0..400 {
                    let host = host(number);
                    let found: Vec<u32> = next.of(&host).map(|item| item.1).collect();
                    prop_assert_eq!(found, Vec::from_iter(wanted.get(&host).copied()));
                }
                made = next;
            }
        }
    }

    #[test]
    fn what_did_not_change_is_shared_and_passed_over() {
        let before: ByHost<Item> = (0..1000).map(|number| Item(host(number), 0)).collect();
        let changes = BTreeMap::from([(host(500), Some(Arc::new(Item(host(500), 1))))]);
        let now = before.with(&changes);
        let shared = before.leaves.iter().zip(&now.leaves).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), before.leaves.len() - 1);
        let found = now.changes_since(&before);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].now.unwrap().1, 1);
        assert!(before != now && now == now.clone());
    }
}
