//! Data by key with compare-and-set, in shards, so that a worker hardly ever meets another at a lock.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};

const SHARDS: usize = 16;
/// Keys and values of one scope together, in bytes, and how many keys. What is stored is never deleted, as in Envoy.
const MOST_BYTES: usize = 8 << 20;
const MOST_KEYS: usize = 1 << 16;

/// Counts up with every change of a value; 0 is never one.
pub(crate) type Revision = u32;

/// Why a value was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataError {
    /// It was changed since the revision given.
    Changed,
    /// The scope has no room for it.
    Full,
}

type Shard = Mutex<FxHashMap<Box<[u8]>, (Bytes, Revision)>>;

/// The data of one scope. Locks are held for a copy of pointers, never across a guest's callback.
#[derive(Default)]
pub(crate) struct SharedData {
    shards: [Shard; SHARDS],
    revision: AtomicU32,
    bytes: AtomicUsize,
    keys: AtomicUsize,
}

impl SharedData {
    /// A value and its revision.
    pub(crate) fn read(&self, key: &[u8]) -> Option<(Bytes, Revision)> {
        self.shard(key)?.lock().get(key).cloned()
    }

    /// Stores a value: where `expected` is given and the key exists, only over that revision, as in
    /// proxy-wasm-cpp-host.
    pub(crate) fn store(
        &self,
        key: &[u8],
        value: &[u8],
        expected: Option<Revision>,
    ) -> Result<(), DataError> {
        let mut entries = self.shard(key).ok_or(DataError::Full)?.lock();
        let old = entries.get_mut(key);
        if let (Some((_, revision)), Some(expected)) = (&old, expected)
            && *revision != expected
        {
            return Err(DataError::Changed);
        }
        let before = old.as_ref().map_or(0, |(value, _)| key.len() + value.len());
        self.make_room(before, key.len() + value.len())?;
        let stored = (Bytes::copy_from_slice(value), self.next_revision());
        match old {
            Some(old) => *old = stored,
            None if self.keys.fetch_add(1, Ordering::Relaxed) >= MOST_KEYS => {
                self.keys.fetch_sub(1, Ordering::Relaxed);
                self.bytes.fetch_sub(key.len() + value.len(), Ordering::Relaxed);
                return Err(DataError::Full);
            }
            None => drop(entries.insert(key.into(), stored)),
        }
        Ok(())
    }

    fn make_room(&self, before: usize, after: usize) -> Result<(), DataError> {
        let changed = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
            let bytes = bytes.saturating_sub(before).saturating_add(after);
            (bytes <= MOST_BYTES || after <= before).then_some(bytes)
        });
        changed.map(|_| ()).map_err(|_| DataError::Full)
    }

    fn next_revision(&self) -> Revision {
        let next = self.revision.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if next == 0 { self.next_revision() } else { next }
    }

    fn shard(&self, key: &[u8]) -> Option<&Shard> {
        // The map within uses the low bits of the same hash.
        let hash = FxBuildHasher.hash_one(key);
        self.shards.get((hash >> 52) as usize % SHARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_stored_over_the_revision_that_was_read_and_no_other() {
        let data = SharedData::default();
        assert_eq!(data.read(b"k"), None);
        assert_eq!(data.store(b"k", b"one", None), Ok(()));
        let (value, first) = data.read(b"k").unwrap();
        assert_eq!(&value[..], b"one");
        assert_eq!(data.store(b"k", b"two", Some(first)), Ok(()));
        assert_eq!(data.store(b"k", b"late", Some(first)), Err(DataError::Changed));
        assert_eq!(data.store(b"k", b"three", None), Ok(()));
        let (value, third) = data.read(b"k").unwrap();
        assert_eq!((&value[..], third), (&b"three"[..], 3));
        assert_eq!(data.store(b"absent", b"x", Some(9)), Ok(()));
    }

    #[test]
    fn a_full_scope_takes_nothing_larger_and_still_what_is_smaller() {
        let data = SharedData::default();
        let large = vec![0; MOST_BYTES - 1];
        assert_eq!(data.store(b"k", &large, None), Ok(()));
        assert_eq!(data.store(b"l", b"", None), Err(DataError::Full));
        assert_eq!(data.store(b"k", &vec![0; MOST_BYTES], None), Err(DataError::Full));
        assert_eq!(data.store(b"k", b"small", None), Ok(()));
        assert_eq!(data.store(b"l", b"", None), Ok(()));
    }

    #[test]
    fn there_are_only_so_many_keys() {
        let data = SharedData::default();
        for nth in 0..MOST_KEYS as u32 {
            assert_eq!(data.store(&nth.to_le_bytes(), b"", None), Ok(()));
        }
        assert_eq!(data.store(b"one more", b"", None), Err(DataError::Full));
        assert_eq!(data.store(&0_u32.to_le_bytes(), b"x", None), Ok(()));
    }
}
