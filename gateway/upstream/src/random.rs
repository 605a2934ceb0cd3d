//! Cheap random draws, for balancing and for naming requests, not for secrets: a xorshift* per thread, seeded
//! once.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u8) | 1);
}

/// A draw from `0..limit`; 0 where the limit is 0.
pub fn draw_below(limit: u64) -> u64 {
    scale(draw(), limit)
}

/// A draw from all numbers.
pub fn draw() -> u64 {
    STATE.with(|state| {
        let next = xorshift(state.get());
        state.set(next);
        star(next)
    })
}

/// The next state. It never becomes 0 unless it was.
fn xorshift(mut state: u64) -> u64 {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    state
}

/// The draw of a state.
fn star(state: u64) -> u64 {
    state.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

/// Spreads a draw over `0..limit` by multiplication, which is cheaper and less skewed than a remainder.
fn scale(draw: u64, limit: u64) -> u64 {
    ((u128::from(draw) * u128::from(limit)) >> 64) as u64
}

/// Draws that repeat, for tests.
#[cfg(test)]
pub(crate) fn seeded(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |limit| {
        state = xorshift(state);
        scale(star(state), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_below_the_limit_and_reach_every_value() {
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[draw_below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 700), "{seen:?}");
        assert_eq!(draw_below(0), 0);
        assert_eq!(draw_below(1), 0);
    }
}
