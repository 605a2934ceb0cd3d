//! Whose turn it is, by weight and as evenly spread as can be.

use crate::balance::weights::Weights;

/// An order of turns.
#[derive(Debug)]
pub(crate) enum Turns {
    /// All weigh the same, or there are too many turns until it begins anew to write them down.
    ByWeight,
    /// Who comes when, until it begins anew.
    Written(Vec<u32>),
}

/// So many turns are written down at most.
const MOST_WRITTEN: u64 = 4_096;

/// The golden ratio as a fraction of 2^64: its multiples spread over the circle more evenly than any other's.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Turns {
    pub(crate) fn new(weights: &Weights) -> Self {
        if weights.are_even() || weights.total() > MOST_WRITTEN {
            return Turns::ByWeight;
        }
        let mut turns = Vec::new();
        for nth in 0..weights.len() {
            let weight = weights.span(nth).map_or(0, |span| span.weight);
            // In the middle of equal parts of the round.
            turns.extend((0..weight).map(|part| ((part as f64 + 0.5) / weight as f64, nth as u32)));
        }
        turns.sort_by(|one, other| one.0.total_cmp(&other.0));
        Turns::Written(turns.into_iter().map(|(_, nth)| nth).collect())
    }

    /// Whose this turn is; `None` where there is nobody.
    pub(crate) fn at(&self, turn: u64, weights: &Weights) -> Option<usize> {
        let total = weights.total();
        if total == 0 {
            return None;
        }
        match self {
            Turns::Written(turns) => turns.get((turn % total) as usize).map(|nth| *nth as usize),
            Turns::ByWeight if weights.are_even() => Some((turn % total) as usize),
            Turns::ByWeight => {
                let point = (u128::from(turn.wrapping_mul(GOLDEN)) * u128::from(total)) >> 64;
                weights.span_at(point as u64).map(|span| span.nth)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(weights: &[u64], turns: u64) -> Vec<usize> {
        let weights = Weights::new(weights);
        let order = Turns::new(&weights);
        (0..turns).map(|turn| order.at(turn, &weights).unwrap()).collect()
    }

    #[test]
    fn turns_alternate() {
        assert_eq!(order(&[4, 4, 4], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order(&[3, 1], 8), [0, 0, 1, 0, 0, 0, 1, 0]);
        assert_eq!(order(&[5, 10, 5], 4), [1, 0, 2, 1]);
        assert_eq!(Turns::ByWeight.at(3, &Weights::new(&[])), None);
    }

    #[test]
    fn turns_keep_to_weights_almost_exactly() {
        for weights in [&[1, 1, 1][..], &[5, 1], &[1, 3, 6], &[7, 11, 13, 4_003], &[97; 50]] {
            let total: u64 = weights.iter().sum();
            let order = order(weights, 100_000);
            for (nth, weight) in weights.iter().enumerate() {
                let count = order.iter().filter(|each| **each == nth).count() as u64;
                assert!(
                    count.abs_diff(100_000 * weight / total) <= 20,
                    "{weights:?} {nth} {count}"
                );
            }
        }
    }
}
