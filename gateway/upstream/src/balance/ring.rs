//! The ring of a consistent hash (ketama), as Envoy builds it: the same keys go to the same endpoints there.

use xxhash_rust::xxh64::xxh64;

/// More entries than this are never made, as in Envoy.
const MOST_ENTRIES: f64 = 8_388_608.0;

/// Points on a circle, each with the endpoint that serves what lies before it.
#[derive(Debug)]
pub(crate) struct Ring {
    /// By hash.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// A ring of about so many entries or more, each endpoint with a number of them for its weight. Named are
    /// endpoints by their addresses.
    pub(crate) fn new(names: &[String], weights: &[u64], at_least: u32) -> Self {
        let total = weights.iter().sum::<u64>() as f64;
        let least = weights.iter().copied().min().unwrap_or(0) as f64 / total;
        // The lightest endpoint gets a whole number of entries.
        let entries = ((least * f64::from(at_least)).ceil() / least).min(MOST_ENTRIES);
        let mut points = Vec::new();
        let (mut wanted, mut made) = (0.0, 0.0);
        for (nth, (name, weight)) in names.iter().zip(weights).enumerate() {
            wanted += entries * (*weight as f64 / total);
            let mut entry = 0;
            while made < wanted {
                points.push((xxh64(format!("{name}_{entry}").as_bytes(), 0), nth as u32));
                entry += 1;
                made += 1.0;
            }
        }
        points.sort_unstable();
        Ring { points }
    }

    /// Endpoints in the order in which they come for a hash, with repetitions, once around.
    pub(crate) fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(first);
        after.iter().chain(before).map(|(_, nth)| *nth as usize)
    }
}
