//! Weighted least request with two random choices.

/// The weights of a cluster's endpoints, as running sums.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `sums[n]` is the sum of the weights up to and including the n-th.
    sums: Vec<u64>,
}

/// The span of one endpoint among the running sums.
#[derive(Clone, Copy)]
struct Span {
    nth: usize,
    start: u64,
    weight: u64,
}

impl Weights {
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let sums = weights.scan(0_u64, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Weights { sums: sums.collect() }
    }

    /// Draws two different endpoints by weight and takes the less busy one. Where both are equally busy
    /// it is the first, so that an idle cluster is shared exactly by weight.
    pub(crate) fn pick(
        &self,
        active: impl Fn(usize) -> usize,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<usize> {
        let total = self.sums.last().copied().filter(|total| *total > 0)?;
        let first = self.span_at(draw(total))?;
        let rest = total - first.weight;
        if rest == 0 {
            return Some(first.nth);
        }
        // A draw from what lies outside the first one's span.
        let point = draw(rest);
        let point = if point >= first.start { point + first.weight } else { point };
        let second = self.span_at(point)?;
        Some(less_busy(first, second, active).nth)
    }

    /// The same among those that `allowed` says; slower, for a second attempt.
    pub(crate) fn pick_among(
        &self,
        allowed: impl Fn(usize) -> bool,
        active: impl Fn(usize) -> usize,
        draw: impl FnMut(u64) -> u64,
    ) -> Option<usize> {
        let mut kept = Vec::new();
        let mut sums = Vec::new();
        let mut sum = 0;
        for nth in (0..self.sums.len()).filter(|nth| allowed(*nth)) {
            sum += self.span(nth).weight;
            kept.push(nth);
            sums.push(sum);
        }
        let original = |nth: usize| kept.get(nth).copied();
        let picked =
            Weights { sums }.pick(|nth| original(nth).map_or(usize::MAX, &active), draw)?;
        original(picked)
    }

    fn span_at(&self, point: u64) -> Option<Span> {
        let nth = self.sums.partition_point(|sum| *sum <= point);
        (nth < self.sums.len()).then(|| self.span(nth))
    }

    fn span(&self, nth: usize) -> Span {
        let sum_at = |nth: usize| self.sums.get(nth).copied().unwrap_or(0);
        let start = nth.checked_sub(1).map_or(0, sum_at);
        Span { nth, start, weight: sum_at(nth) - start }
    }
}

/// The one with fewer active requests for its weight.
fn less_busy(first: Span, second: Span, active: impl Fn(usize) -> usize) -> Span {
    let first_load = active(first.nth) as u128 * u128::from(second.weight);
    let second_load = active(second.nth) as u128 * u128::from(first.weight);
    if second_load < first_load { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn the_second_choice_is_never_the_first() {
        let weights = Weights::new([4, 1, 0, 5].into_iter());
        let mut draw = seeded(7);
        for _ in 0..1_000 {
            // Everyone is busy but the last; it is chosen whenever it is drawn, first or second.
            let picked = weights.pick(|nth| if nth == 3 { 0 } else { 9 }, &mut draw).unwrap();
            assert_ne!(picked, 2);
        }
    }

    #[test]
    fn load_is_weighed_against_weight() {
        let weights = Weights::new([1, 10].into_iter());
        let active = |nth: usize| [1, 5][nth];
        for point in 0..11 {
            assert_eq!(weights.pick(active, |limit| point % limit), Some(1));
        }
    }
}
