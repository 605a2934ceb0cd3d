//! Tokens verified before: most requests of a session bring the same one.
//!
//! Bounded in number and bytes by two generations: when the young one is full it becomes the old one, and what of it is
//! still asked for moves over again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

/// Of one generation.
const MOST_TOKENS: usize = 1024;
const MOST_BYTES: usize = 512 * 1024;

/// Values by token.
pub(crate) struct TokenCache<V> {
    young: Generation<V>,
    old: Generation<V>,
    young_bytes: usize,
}

type Generation<V> = HashMap<u64, (Box<[u8]>, V), BuildHasherDefault<AsItIs>>;

impl<V: Clone> TokenCache<V> {
    pub(crate) fn new() -> Self {
        TokenCache { young: HashMap::default(), old: HashMap::default(), young_bytes: 0 }
    }

    /// The value of exactly this token.
    pub(crate) fn find(&mut self, token: &[u8]) -> Option<V> {
        let key = key_of(token)?;
        if let Some((known, value)) = self.young.get(&key) {
            return is_same(known, token).then(|| value.clone());
        }
        let (known, value) = self.old.get(&key)?;
        if !is_same(known, token) {
            return None;
        }
        let value = value.clone();
        self.insert(token, value.clone());
        Some(value)
    }

    /// Remembers a token.
    pub(crate) fn insert(&mut self, token: &[u8], value: V) {
        let Some(key) = key_of(token) else { return };
        if self.young.len() >= MOST_TOKENS || self.young_bytes + token.len() > MOST_BYTES {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += token.len();
        if let Some((replaced, _)) = self.young.insert(key, (token.into(), value)) {
            self.young_bytes -= replaced.len();
        }
    }

    /// Forgets a token.
    pub(crate) fn remove(&mut self, token: &[u8]) {
        let Some(key) = key_of(token) else { return };
        if let Some((removed, _)) = self.young.remove(&key) {
            self.young_bytes -= removed.len();
        }
        self.old.remove(&key);
    }
}

/// The end of the signature, which is as good as random: only verified tokens get in. None is too short to be a token.
fn key_of(token: &[u8]) -> Option<u64> {
    let end = token.last_chunk::<16>()?;
    let (first, second) = end.split_first_chunk::<8>()?;
    let second = second.first_chunk::<8>()?;
    let mixed = u64::from_le_bytes(*first).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ u64::from_le_bytes(*second);
    Some(mixed.wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// Takes the same time wherever they differ: a remembered token must not be guessable byte by byte.
fn is_same(known: &[u8], token: &[u8]) -> bool {
    let ((known_words, known_rest), (words, rest)) =
        (known.as_chunks::<8>(), token.as_chunks::<8>());
    let of_words = known_words.iter().zip(words).fold(0, |difference, (a, b)| {
        difference | (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b))
    });
    let of_rest = known_rest.iter().zip(rest).fold(0, |difference, (a, b)| difference | (a ^ b));
    known.len() == token.len() && of_words == 0 && of_rest == 0
}

/// Keys are mixed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key ^ (key >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> Vec<u8> {
        format!("header.payload.signature-{number:016}").into_bytes()
    }

    #[test]
    fn only_the_very_token_is_found() {
        let mut cache = TokenCache::new();
        cache.insert(b"aaaa.bbbb.cccccccccccccccccccc", 1);
        assert_eq!(cache.find(b"aaaa.bbbb.cccccccccccccccccccc"), Some(1));
        assert_eq!(cache.find(b"aaaa.bbbB.cccccccccccccccccccc"), None);
        assert_eq!(cache.find(b"aaa.bbbb.cccccccccccccccccccc"), None);
        assert_eq!(cache.find(b"short"), None);
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_asked_for() {
        let mut cache = TokenCache::new();
        cache.insert(&token(0), 0);
        for number in 1..20 * MOST_TOKENS {
            cache.insert(&token(number), number);
            if number % 500 == 0 {
                assert_eq!(cache.find(&token(0)), Some(0), "after {number}");
            }
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * MOST_TOKENS);
        assert_eq!(cache.find(&token(1)), None);
    }

    #[test]
    fn long_tokens_are_bounded_by_their_bytes() {
        let mut cache = TokenCache::new();
        for number in 0..1000 {
            let long = [vec![b'x'; 10_000], token(number)].concat();
            cache.insert(&long, number);
        }
        assert!(cache.young_bytes <= MOST_BYTES);
        assert!(cache.young.len() + cache.old.len() <= 2 * (MOST_BYTES / 10_000 + 1));
    }

    #[test]
    fn a_removed_token_is_gone() {
        let mut cache = TokenCache::new();
        cache.insert(&token(1), 1);
        cache.remove(&token(1));
        assert_eq!(cache.find(&token(1)), None);
        assert_eq!(cache.young_bytes, 0);
    }
}
