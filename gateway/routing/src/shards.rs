//! Values by text, in shards which versions share as long as nothing in them changed.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;

/// So many entries a shard holds about, before there are more shards.
const ENTRIES: usize = 32;

/// Values by text. Keys come from the configuration alone, so nobody outside can make them collide.
#[derive(Clone, Debug)]
pub(crate) struct Shards<T> {
    /// A power of two of them, or none.
    shards: Box<[Shard<T>]>,
    len: usize,
}

type Shard<T> = Arc<HashTable<(Box<str>, T)>>;

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Shards { shards: Box::default(), len: 0 }
    }
}

fn hash(key: &str) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// The bits of a hash by which the tables themselves tell entries apart are its lowest and highest.
fn shard_of(hash: u64, shards: usize) -> usize {
    (hash >> 32) as usize & shards.wrapping_sub(1)
}

impl<T> Shards<T> {
    /// The value of a text.
    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        let hash = hash(key);
        let shard = self.shards.get(shard_of(hash, self.shards.len()))?;
        shard.find(hash, |(known, _)| **known == *key).map(|(_, value)| value)
    }

    /// Whether there is a value of a text.
    pub(crate) fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl<T: Clone> Shards<T> {
    /// The value of a text.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let hash = hash(key);
        let place = shard_of(hash, self.shards.len());
        let shard = Arc::make_mut(self.shards.get_mut(place)?);
        shard.find_mut(hash, |(known, _)| **known == *key).map(|(_, value)| value)
    }

    /// The value of a text, put there if it is missing; `None` never.
    pub(crate) fn get_or_insert_with(
        &mut self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        if self.len >= self.shards.len() * ENTRIES {
            self.grow();
        }
        let hash = hash(key);
        let place = shard_of(hash, self.shards.len());
        let shard = Arc::make_mut(self.shards.get_mut(place)?);
        let entry = shard.entry(hash, |(known, _)| **known == *key, |(key, _)| self::hash(key));
        let entry = match entry {
            Entry::Occupied(known) => known,
            Entry::Vacant(free) => {
                self.len += 1;
                free.insert((key.into(), make()))
            }
        };
        Some(&mut entry.into_mut().1)
    }

    /// Takes away the value of a text.
    pub(crate) fn remove(&mut self, key: &str) {
        let hash = hash(key);
        let place = shard_of(hash, self.shards.len());
        let Some(shard) = self.shards.get_mut(place).map(Arc::make_mut) else { return };
        if let Ok(entry) = shard.find_entry(hash, |(known, _)| **known == *key) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// Some of them, with other values.
    pub(crate) fn filter_map<U: Clone>(self, mut change: impl FnMut(T) -> Option<U>) -> Shards<U> {
        let mut changed = Shards::default();
        for shard in self.shards {
            for (key, value) in Arc::unwrap_or_clone(shard) {
                if let Some(value) = change(value) {
                    changed.insert(key, value);
                }
            }
        }
        changed
    }

    fn insert(&mut self, key: Box<str>, value: T) {
        if self.len >= self.shards.len() * ENTRIES {
            self.grow();
        }
        let hash = hash(&key);
        let place = shard_of(hash, self.shards.len());
        if let Some(shard) = self.shards.get_mut(place) {
            Arc::make_mut(shard).insert_unique(hash, (key, value), |(key, _)| self::hash(key));
            self.len += 1;
        }
    }

    fn grow(&mut self) {
        let shards = (self.shards.len() * 4).max(1);
        let empty = || Arc::new(HashTable::new());
        let more = std::iter::repeat_with(empty).take(shards).collect();
        self.len = 0;
        for shard in std::mem::replace(&mut self.shards, more) {
            for (key, value) in Arc::unwrap_or_clone(shard) {
                self.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_texts_have_their_values_and_versions_are_apart() {
        let mut first: Shards<usize> = Shards::default();
        for number in 0..5000 {
            *first.get_or_insert_with(&format!("h{number}"), || number).unwrap() += 1;
        }
        let mut second = first.clone();
        second.remove("h7");
        *second.get_mut("h8").unwrap() = 0;
        second.get_or_insert_with("more", || 1);
        for number in 0..5000 {
            let key = format!("h{number}");
            assert_eq!(first.get(&key), Some(&(number + 1)));
            let wanted = [None, Some(0), Some(number + 1)];
            let wanted = wanted[number.saturating_sub(6).clamp(1, 3) - 1];
            let wanted = if number < 7 { Some(number + 1) } else { wanted };
            assert_eq!(second.get(&key).copied(), wanted, "{key}");
        }
        let shared = first.shards.iter().zip(&second.shards).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert!(shared.count() + 3 >= first.shards.len());
        assert_eq!((first.get("more"), second.get("more")), (None, Some(&1)));
        let odd = first.filter_map(|value| (value % 2 == 1).then_some(value * 2));
        assert_eq!((odd.len, odd.get("h0"), odd.get("h1")), (2500, Some(&2), None));
    }
}
