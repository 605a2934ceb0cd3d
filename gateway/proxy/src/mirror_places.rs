//! How many copies of requests are under way on a worker.

use std::cell::Cell;
use std::rc::Rc;

/// So many copies are under way on a worker; further ones are left out.
const MOST_UNDER_WAY: u32 = 256;

/// The copies under way on a worker.
#[derive(Debug, Default)]
pub(crate) struct MirrorPlaces(Rc<Cell<u32>>);

/// One copy's place among them, for as long as it lives.
#[derive(Debug)]
pub(crate) struct MirrorPlace(Rc<Cell<u32>>);

impl MirrorPlaces {
    /// A place for one more, where there is room.
    pub(crate) fn take(&self) -> Option<MirrorPlace> {
        let under_way = self.0.get();
        (under_way < MOST_UNDER_WAY).then(|| {
            self.0.set(under_way + 1);
            MirrorPlace(self.0.clone())
        })
    }
}

impl Drop for MirrorPlace {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let places = MirrorPlaces::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(taken.len(), MOST_UNDER_WAY as usize);
        taken.pop();
        assert!(places.take().is_some());
    }
}
