//! What a worker looks at once a second, each in a place that is used again once it is left.

use std::cell::RefCell;

/// How many are looked at before others on the worker get their turn.
const AT_ONCE: usize = 1024;

/// Entries by place.
#[derive(Debug)]
pub struct Roster<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Roster<T> {
    /// Adds an entry; its place is its own until it [leaves](Self::leave).
    pub fn enter(&mut self, entry: T) -> usize {
        let Some(index) = self.free.pop() else {
            self.places.push(Some(entry));
            return self.places.len() - 1;
        };
        if let Some(place) = self.places.get_mut(index) {
            *place = Some(entry);
        }
        index
    }

    /// Removes the entry of a place.
    pub fn leave(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index) {
            *place = None;
        }
        self.free.push(index);
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }
}

/// Looks at every entry, however many there are, without holding up what else the worker does.
pub async fn look_at_all<T>(roster: &RefCell<Roster<T>>, look: impl Fn(&T)) {
    let mut next = 0;
    while look_from(&roster.borrow(), next, &look) {
        next += AT_ONCE;
        tokio::task::yield_now().await;
    }
}

/// Looks at a stretch of places from `first` on; whether there are more.
fn look_from<T>(roster: &Roster<T>, first: usize, look: impl Fn(&T)) -> bool {
    roster.places.iter().skip(first).take(AT_ONCE).flatten().for_each(look);
    roster.places.len() > first + AT_ONCE
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Roster { places: Vec::new(), free: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn all_are_looked_at_however_many_there_are() {
        let roster = RefCell::new(Roster::default());
        for entry in 0..AT_ONCE + 2 {
            roster.borrow_mut().enter(entry);
        }
        let seen = Cell::new(0);
        look_at_all(&roster, |_| seen.set(seen.get() + 1)).await;
        assert_eq!(seen.get(), AT_ONCE + 2);
    }

    #[test]
    fn a_place_is_used_again() {
        let mut roster = Roster::default();
        let place = roster.enter('a');
        roster.leave(place);
        assert_eq!(roster.entries().count(), 0);
        assert_eq!(roster.enter('b'), place);
        assert_eq!(roster.entries().collect::<String>(), "b");
    }
}
