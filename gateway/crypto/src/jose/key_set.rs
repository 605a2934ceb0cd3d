//! A JSON Web Key Set (RFC 7517 section 5).

use serde_json::Value;

use super::key::Key;
use super::strict_json::read_object;

/// A larger set is not read.
const MOST_BYTES: usize = 1 << 20;
/// Nor one of more keys.
const MOST_KEYS: usize = 128;

/// Keys that verify tokens.
#[derive(Default)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
    left_out: Vec<LeftOutKey>,
}

/// A key of a set that verifies nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOutKey {
    /// Its place in the set.
    pub index: usize,
    /// Why.
    pub reason: &'static str,
}

/// Why bytes are no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than 1 MiB, or more than 128 keys.
    #[error("the key set is larger than 1 MiB or has more than 128 keys")]
    TooLarge,
    /// Not an object whose `keys` is a list, or not strict JSON.
    #[error("it is no key set: an object whose `keys` is a list")]
    Malformed,
}

impl KeySet {
    /// Reads a set. A key that verifies nothing here is left out, as RFC 7517 section 5 asks; a set may be empty.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MOST_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let set = read_object(json).ok_or(KeySetError::Malformed)?;
        let Some(Value::Array(list)) = set.get("keys") else { return Err(KeySetError::Malformed) };
        if list.len() > MOST_KEYS {
            return Err(KeySetError::TooLarge);
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, key) in list.iter().enumerate() {
            let read = match key {
                Value::Object(key) => Key::read(key),
                _ => Err("it is no object"),
            };
            match read {
                Ok(key) => keys.push(key),
                Err(reason) => left_out.push(LeftOutKey { index, reason }),
            }
        }
        Ok(KeySet { keys, left_out })
    }

    /// How many keys verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that verify nothing here, and why.
    pub fn left_out(&self) -> &[LeftOutKey] {
        &self.left_out
    }
}

/// Its secrets stay secret.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}
