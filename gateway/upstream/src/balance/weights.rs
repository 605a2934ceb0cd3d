//! Drawing by weight.

/// The weights of endpoints, none of them 0, as running sums in lowest terms.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `sums[n]` is the sum of the weights up to and including the n-th; empty where all are 1.
    sums: Vec<u64>,
    total: u64,
    len: usize,
}

/// The span of one endpoint among the running sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) nth: usize,
    pub(crate) weight: u64,
    start: u64,
}

impl Weights {
    pub(crate) fn new(weights: &[u64]) -> Self {
        let unit = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        let sums: Vec<u64> = weights
            .iter()
            .scan(0_u64, |sum, weight| {
                *sum = sum.saturating_add(weight / unit);
                Some(*sum)
            })
            .collect();
        let total = sums.last().copied().unwrap_or(0);
        let even = total == weights.len() as u64;
        Weights { sums: if even { Vec::new() } else { sums }, total, len: weights.len() }
    }

    /// Draws one by weight; `None` where there is none.
    pub(crate) fn draw(&self, mut draw: impl FnMut(u64) -> u64) -> Option<Span> {
        if self.total == 0 { None } else { self.span_at(draw(self.total)) }
    }

    /// Draws another than this one by weight, from what lies outside its span; `None` where it is the only one.
    pub(crate) fn draw_other(&self, than: Span, mut draw: impl FnMut(u64) -> u64) -> Option<Span> {
        let rest = self.total - than.weight;
        if rest == 0 {
            return None;
        }
        let point = draw(rest);
        self.span_at(if point >= than.start { point + than.weight } else { point })
    }

    /// Whether all weigh the same.
    pub(crate) fn are_even(&self) -> bool {
        self.sums.is_empty()
    }

    /// The sum, in lowest terms.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The one whose span a point lies in.
    pub(crate) fn span_at(&self, point: u64) -> Option<Span> {
        if self.sums.is_empty() {
            let nth = point as usize;
            return (nth < self.len).then_some(Span { nth, weight: 1, start: point });
        }
        self.span(self.sums.partition_point(|sum| *sum <= point))
    }

    /// The span of the n-th.
    pub(crate) fn span(&self, nth: usize) -> Option<Span> {
        if self.sums.is_empty() {
            return (nth < self.len).then_some(Span { nth, weight: 1, start: nth as u64 });
        }
        let end = *self.sums.get(nth)?;
        let start = nth.checked_sub(1).and_then(|before| self.sums.get(before)).copied();
        let start = start.unwrap_or(0);
        Some(Span { nth, weight: end - start, start })
    }

    /// Draws one by weight among those that `allowed` says; it looks at all of them.
    pub(crate) fn draw_among(
        &self,
        allowed: impl Fn(usize) -> bool,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<Span> {
        let (mut total, mut drawn) = (0, None);
        for span in (0..self.len).filter(|nth| allowed(*nth)).filter_map(|nth| self.span(nth)) {
            total += span.weight;
            if draw(total) < span.weight {
                drawn = Some(span);
            }
        }
        drawn
    }
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    fn counts(weights: &[u64], mut draw: impl FnMut(u64) -> u64) -> Vec<u64> {
        let drawn = Weights::new(weights);
        let mut counts = vec![0; weights.len()];
        for _ in 0..100_000 {
            counts[drawn.draw(&mut draw).unwrap().nth] += 1;
        }
        counts
    }

    /// Whether each got its share of 100 000, give or take so many.
    fn shared(weights: &[u64], counts: &[u64], slack: u64) -> bool {
        let total: u64 = weights.iter().sum();
        weights.iter().zip(counts).all(|(w, count)| count.abs_diff(100_000 * w / total) <= slack)
    }

    #[test]
    fn draws_keep_to_weights_within_one_percent() {
        for weights in [&[1, 1, 1][..], &[2, 3, 5]] {
            let counts = counts(weights, seeded(0x9E37_79B9_7F4A_7C15));
            assert!(shared(weights, &counts, 1_000), "{weights:?} {counts:?}");
        }
    }

    #[test]
    fn the_other_is_never_the_same_and_the_allowed_alone_are_drawn() {
        for weights in [Weights::new(&[4, 1, 5]), Weights::new(&[1, 1, 1])] {
            let mut draw = seeded(7);
            for _ in 0..1_000 {
                let first = weights.draw(&mut draw).unwrap();
                assert_ne!(weights.draw_other(first, &mut draw).unwrap().nth, first.nth);
                assert_ne!(weights.draw_among(|nth| nth != 1, &mut draw).unwrap().nth, 1);
            }
            assert_eq!(weights.draw_among(|_| false, &mut draw), None);
        }
        assert_eq!(Weights::new(&[]).draw(|_| 0), None);
        let only = Weights::new(&[9]);
        assert_eq!(only.draw_other(only.draw(|_| 0).unwrap(), |_| 0), None);
    }
}
