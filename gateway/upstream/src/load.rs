//! How the load spreads over levels of failover, after Envoy's priorities.

/// How many endpoints a level has, and how many of them take load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) all: u64,
    pub(crate) healthy: u64,
}

/// A level's part of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// In percent; all levels together make 100, or 0 where nothing is healthy.
    pub(crate) percent: u64,
    /// Whether health counts in it: not where too little of it is left (Envoy's panic).
    pub(crate) panic: bool,
}

/// A level with so many percent of healthy endpoints bears all of its load (Envoy's overprovisioning factor).
const OVERPROVISIONING: u64 = 140;

/// The load of each level, the nearest first: each takes what it can bear of what those before it left. Below so
/// many percent of healthy endpoints a level ignores health, unless others bear all of the load; 0 is never.
pub(crate) fn loads(levels: &[Level], panic_below: u64) -> Vec<Load> {
    let bears: Vec<u64> = levels.iter().map(Level::bears).collect();
    let total = bears.iter().sum::<u64>().min(100);
    if total == 0 && panic_below > 0 {
        return by_size(levels);
    }
    let mut left = 100;
    let mut loads: Vec<Load> = levels
        .iter()
        .zip(&bears)
        .map(|(level, bears)| {
            let percent = (bears * 100).checked_div(total).unwrap_or(0).min(left);
            left -= percent;
            Load { percent, panic: total < 100 && level.panics(panic_below) }
        })
        .collect();
    // What rounding left goes to the first that bears anything.
    if let Some(first) = loads.iter_mut().find(|load| load.percent > 0) {
        first.percent += left;
    }
    loads
}

/// Nothing is healthy: all of them are used as if everything were.
fn by_size(levels: &[Level]) -> Vec<Load> {
    let all = levels.iter().map(|level| level.all).sum::<u64>().max(1);
    let mut left = 100;
    let mut loads: Vec<Load> = levels
        .iter()
        .map(|level| {
            let percent = (level.all * 100 / all).min(left);
            left -= percent;
            Load { percent, panic: true }
        })
        .collect();
    if let Some(first) = loads.first_mut() {
        first.percent += left;
    }
    loads
}

impl Level {
    fn bears(&self) -> u64 {
        (OVERPROVISIONING * self.healthy).checked_div(self.all).unwrap_or(0).min(100)
    }

    fn panics(&self, below: u64) -> bool {
        self.healthy * 100 < self.all * below
    }
}

/// How much of its share a locality keeps where so many of its endpoints are healthy, in percent.
pub(crate) fn kept(level: Level) -> u64 {
    level.bears()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn percents(levels: &[(u64, u64)], panic_below: u64) -> Vec<(u64, bool)> {
        let levels: Vec<_> =
            levels.iter().map(|(healthy, all)| Level { all: *all, healthy: *healthy }).collect();
        let loads = loads(&levels, panic_below);
        loads.into_iter().map(|load| (load.percent, load.panic)).collect()
    }

    #[test]
    fn load_spills_over_as_in_envoy() {
        // The table of Envoy's documentation on priorities: P=0 healthy, traffic to P=0 and P=1.
        for (healthy, first) in [(100, 100), (72, 100), (71, 99), (50, 70), (25, 35), (0, 0)] {
            let found = percents(&[(healthy, 100), (100, 100)], 0);
            assert_eq!(found, [(first, false), (100 - first, false)], "{healthy}");
        }
        // Both levels unwell: what is left is shared by what they bear.
        assert_eq!(percents(&[(25, 100), (25, 100)], 0), [(50, false), (50, false)]);
        assert_eq!(percents(&[(0, 3), (0, 2)], 0), [(0, false), (0, false)]);
    }

    #[test]
    fn too_little_health_is_ignored() {
        assert_eq!(percents(&[(1, 4)], 50), [(100, true)]);
        assert_eq!(percents(&[(2, 4)], 50), [(100, false)]);
        // Another level bears everything, so there is no need to.
        assert_eq!(percents(&[(1, 4), (4, 4)], 50), [(35, false), (65, false)]);
        assert_eq!(percents(&[(0, 3), (0, 1)], 10), [(75, true), (25, true)]);
    }

    proptest! {
        #[test]
        fn all_of_the_load_goes_somewhere(
            sizes in prop::collection::vec((0_u64..20, 0_u64..20), 1..6),
            panic_below in 0_u64..=100,
        ) {
            let levels: Vec<_> = sizes
                .iter()
                .map(|(one, other)| Level { all: one + other, healthy: *one })
                .collect();
            let loads = loads(&levels, panic_below);
            let sum: u64 = loads.iter().map(|load| load.percent).sum();
            let healthy = levels.iter().any(|level| level.healthy > 0);
            prop_assert_eq!(sum, if healthy || panic_below > 0 { 100 } else { 0 });
            for (level, load) in levels.iter().zip(&loads) {
                prop_assert!(load.percent == 0 || load.panic || level.healthy > 0);
            }
        }
    }
}
