//! Counts by a name that is known when the program is built, free of locks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// More names than there are host calls.
const MOST_NAMES: usize = 128;

/// A count for each name that was ever counted. Finding one takes a look at each: for what is rare.
#[derive(Debug)]
pub(crate) struct NamedCounts(Box<[Place]>);

#[derive(Debug, Default)]
struct Place {
    name: OnceLock<&'static str>,
    count: AtomicU64,
}

impl Default for NamedCounts {
    fn default() -> Self {
        NamedCounts((0..MOST_NAMES).map(|_| Place::default()).collect())
    }
}

impl NamedCounts {
    /// Counts one. Beyond the most names nothing is.
    pub(crate) fn count(&self, name: &'static str) {
        let place = self.0.iter().find(|place| *place.name.get_or_init(|| name) == name);
        if let Some(place) = place {
            place.count.fetch_add(1, Relaxed);
        }
    }

    /// Every name with its count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let known = self.0.iter().map_while(|place| Some((*place.name.get()?, place)));
        known.map(|(name, place)| (name, place.count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_count_of_its_own() {
        let counts = NamedCounts::default();
        for name in ["one", "two", "one"] {
            counts.count(name);
        }
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("one", 2), ("two", 1)]);
    }
}
