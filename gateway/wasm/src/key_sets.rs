//! The key sets that an instance verifies tokens with, read once.

use std::sync::Arc;

use portcullis_crypto::jose::{KeySet, KeySetError};

/// So many are kept read; a plugin has one or two.
const MOST_KEPT: usize = 4;

/// The key sets that were read last, the latest at the end.
#[derive(Default)]
pub(crate) struct KeySets(Vec<(Box<[u8]>, Arc<KeySet>)>);

impl KeySets {
    /// The keys of a set in JSON.
    pub(crate) fn read(&mut self, json: &[u8]) -> Result<Arc<KeySet>, KeySetError> {
        if let Some((_, keys)) = self.0.iter().find(|(known, _)| **known == *json) {
            return Ok(keys.clone());
        }
        let keys = Arc::new(KeySet::parse(json)?);
        if self.0.len() >= MOST_KEPT {
            self.0.remove(0);
        }
        self.0.push((json.into(), keys.clone()));
        Ok(keys)
    }
}
