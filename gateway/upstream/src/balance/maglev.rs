//! The table of a consistent hash after Google's Maglev, as Envoy builds it: the same keys go to the same
//! endpoints there.

use xxhash_rust::xxh64::xxh64;

/// How many further places of the table are looked at for a key whose endpoint cannot be had, before those that
/// follow.
const REHASHES: u64 = 8;

/// A table whose places are shared among endpoints by weight.
#[derive(Debug)]
pub(crate) struct Maglev {
    table: Vec<u32>,
}

/// How far an endpoint has come in taking places.
struct Taker {
    offset: u64,
    skip: u64,
    next: u64,
    weight: f64,
    taken: f64,
}

impl Maglev {
    /// A table of so many places, a prime. Named are endpoints by their addresses.
    pub(crate) fn new(names: &[String], weights: &[u64], size: u32) -> Self {
        let places = u64::from(size.max(2));
        let heaviest = weights.iter().copied().max().unwrap_or(1) as f64;
        let mut takers: Vec<Taker> = names
            .iter()
            .zip(weights)
            .map(|(name, weight)| Taker::new(name, *weight as f64 / heaviest, places))
            .collect();
        let mut table = vec![u32::MAX; places as usize];
        let (mut left, mut round) = (if takers.is_empty() { 0 } else { places }, 1.0);
        while left > 0 {
            for (nth, taker) in takers.iter_mut().enumerate() {
                // Of several rounds a light endpoint takes part in some.
                if left == 0 || taker.weight * round < taker.taken {
                    continue;
                }
                taker.take(&mut table, nth as u32);
                left -= 1;
            }
            round += 1.0;
        }
        Maglev { table }
    }

    /// Endpoints in the order in which they come for a hash, with repetitions.
    pub(crate) fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        let size = self.table.len() as u64;
        let place = move |hash: u64| (hash % size.max(1)) as usize;
        let first = place(hash);
        let further = (1..=REHASHES).map(move |nth| place(xxh64(&hash.to_le_bytes(), nth)));
        let rest = (1..self.table.len()).map(move |by| place((first + by) as u64));
        let places = std::iter::once(first).chain(further).chain(rest);
        places.filter_map(|place| self.table.get(place)).map(|nth| *nth as usize)
    }
}

impl Taker {
    fn new(name: &str, weight: f64, places: u64) -> Self {
        Taker {
            offset: xxh64(name.as_bytes(), 0) % places,
            skip: xxh64(name.as_bytes(), 1) % (places - 1) + 1,
            next: 0,
            weight,
            taken: 0.0,
        }
    }

    /// Takes its next free place. There is one.
    fn take(&mut self, table: &mut [u32], nth: u32) {
        let places = table.len() as u64;
        // A size that is no prime might never lead to what is free; after one time around it goes on by one.
        while self.next < 2 * places {
            let step = if self.next < places { self.skip } else { 1 };
            let at = (self.offset + step.wrapping_mul(self.next)) % places;
            self.next += 1;
            if let Some(place) = table.get_mut(at as usize)
                && *place == u32::MAX
            {
                *place = nth;
                self.taken += 1.0;
                return;
            }
        }
    }
}
