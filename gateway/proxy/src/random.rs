//! Random numbers for drawing a destination and naming a request: fast, per worker, not for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A xorshift generator, seeded by the standard library's random state.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn seeded() -> Self {
        Random(Cell::new(RandomState::new().hash_one("portcullis") | 1))
    }

    /// The next number (xorshift64*).
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub(crate) fn below(&self, bound: u32) -> u32 {
        let high = self.next() >> 32;
        ((high * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_their_bound() {
        let random = Random::seeded();
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
        let draws: std::collections::BTreeSet<_> = (0..1000).map(|_| random.below(7)).collect();
        assert_eq!(draws.len(), 7);
    }
}
