//! Things with numbers that they keep, of which a version with few changes costs what changed, and shares all else with
//! the one before.

use std::sync::Arc;

/// So many stand in one chunk.
const CHUNK: usize = 64;

/// Things by number. A number is free again once its thing is gone.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    chunks: Vec<Arc<[Option<T>]>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    /// The thing with a number.
    pub fn get(&self, number: usize) -> Option<&T> {
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)?.as_ref()
    }

    /// All of them, with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &T)> {
        let all = self.chunks.iter().flat_map(|chunk| chunk.iter()).enumerate();
        all.filter_map(|(number, thing)| Some((number, thing.as_ref()?)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.numbered().map(|(_, thing)| thing)
    }

    /// The numbers under which may be something else than in an earlier version.
    pub fn touched_since<'s>(&'s self, before: &'s Self) -> impl Iterator<Item = usize> + 's {
        let is_other =
            move |place: &usize| match (self.chunks.get(*place), before.chunks.get(*place)) {
                (Some(now), Some(before)) => !Arc::ptr_eq(now, before),
                _ => true,
            };
        let chunks = 0..self.chunks.len().max(before.chunks.len());
        chunks.filter(is_other).flat_map(|place| place * CHUNK..(place + 1) * CHUNK)
    }
}

impl<T: Clone> Slots<T> {
    /// Adds a thing under a number of its own.
    pub fn add(&mut self, thing: T) -> usize {
        if self.free.is_empty() {
            let begin = self.chunks.len() * CHUNK;
            self.chunks.push(std::iter::repeat_n(None, CHUNK).collect());
            self.free.extend((begin..begin + CHUNK).rev());
        }
        let number = self.free.pop().unwrap_or_default();
        self.put(number, Some(thing));
        number
    }

    /// Takes away the thing with a number.
    pub fn remove(&mut self, number: usize) {
        if self.get(number).is_some() {
            self.put(number, None);
            self.free.push(number);
        }
    }

    /// The thing with a number, to be changed.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(number / CHUNK)?;
        Arc::make_mut(chunk).get_mut(number % CHUNK)?.as_mut()
    }

    /// Puts a thing under a number that another version gave, or takes it away. Numbers that are in use there only may
    /// be added here.
    pub fn put_as(&mut self, number: usize, thing: Option<T>) {
        while self.chunks.len() * CHUNK <= number {
            self.chunks.push(std::iter::repeat_n(None, CHUNK).collect());
        }
        self.put(number, thing);
    }

    fn put(&mut self, number: usize, thing: Option<T>) {
        let chunk = self.chunks.get_mut(number / CHUNK).map(Arc::make_mut);
        if let Some(slot) = chunk.and_then(|chunk| chunk.get_mut(number % CHUNK)) {
            *slot = thing;
        }
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { chunks: Vec::new(), free: Vec::new() }
    }
}

/// The first gets 0, and so on.
impl<T> FromIterator<T> for Slots<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Self {
        let mut things = things.into_iter().map(Some).peekable();
        let (mut chunks, mut free): (Vec<Arc<[Option<T>]>>, _) = (Vec::new(), Vec::new());
        while things.peek().is_some() {
            let begin = chunks.len() * CHUNK;
            let mut chunk: Vec<Option<T>> = things.by_ref().take(CHUNK).collect();
            free.extend((begin + chunk.len()..begin + CHUNK).rev());
            chunk.resize_with(CHUNK, || None);
            chunks.push(chunk.into());
        }
        Slots { chunks, free }
    }
}

impl<'s, T> IntoIterator for &'s Slots<T> {
    type Item = &'s T;
    type IntoIter = Box<dyn Iterator<Item = &'s T> + 's>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_free_again_and_versions_share() {
        let first: Slots<u32> = (0..200).collect();
        assert!(first.numbered().eq((0..200).zip(&Vec::from_iter(0..200))));
        let mut second = first.clone();
        second.remove(70);
        assert_eq!((first.get(70), second.get(70), second.iter().count()), (Some(&70), None, 199));
        assert!(second.touched_since(&first).eq(64..128));
        assert_eq!(second.add(7), 70);
        for more in 0..100 {
            second.add(more);
        }
        assert_eq!(second.iter().count(), 300);
        *second.get_mut(3).unwrap() = 9;
        assert_eq!((first.get(3), second.get(3), second.get(5000)), (Some(&3), Some(&9), None));
        assert!(first.touched_since(&first).next().is_none());
    }
}
