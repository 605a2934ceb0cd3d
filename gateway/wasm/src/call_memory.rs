//! How much of the host's memory the calls of one plugin object may hold: what they send and what comes back.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// All instances of an object together may have so many times the memory that one of them may have.
const MEMORIES: usize = 4;

/// What is held for the calls of one plugin object on all workers. It lies outside of the guests' memory, and counts
/// against a multiple of that.
#[derive(Debug)]
pub(crate) struct CallMemory {
    most: usize,
    held: AtomicUsize,
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// So many bytes of it. They are free again once this is dropped.
#[derive(Debug)]
pub struct Room {
    memory: Arc<CallMemory>,
    sent: usize,
    came: Cell<usize>,
}

impl CallMemory {
    /// Of an object whose instances may have so much memory each, in bytes.
    pub(crate) fn beside(memory: usize) -> Arc<Self> {
        Arc::new(CallMemory { most: memory.saturating_mul(MEMORIES), held: AtomicUsize::new(0) })
    }

    /// Room for so many bytes that are sent.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<Room, NoRoom> {
        self.add(bytes)?;
        Ok(Room { memory: self.clone(), sent: bytes, came: Cell::new(0) })
    }

    /// How much is held now, in bytes.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.most);
        self.held.fetch_update(Relaxed, Relaxed, more).map(|_| ()).map_err(|_| NoRoom)
    }
}

impl Room {
    /// So many bytes are held of what came back, whatever was held of it before.
    ///
    /// # Errors
    /// The plugin's calls hold too much together; as much as before is held on.
    pub fn hold(&self, bytes: usize) -> Result<(), NoRoom> {
        let before = self.came.get();
        match bytes.checked_sub(before) {
            Some(more) => self.memory.add(more)?,
            None => drop(self.memory.held.fetch_sub(before - bytes, Relaxed)),
        }
        self.came.set(bytes);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.sent + self.came.get(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_free_again() {
        let memory = CallMemory::beside(100);
        let first = memory.take(300).unwrap();
        assert!(memory.take(101).is_err());
        let second = memory.take(50).unwrap();
        assert_eq!((second.hold(50), memory.held()), (Ok(()), 400));
        assert_eq!((second.hold(51), memory.held()), (Err(NoRoom), 400));
        assert_eq!((second.hold(10), memory.held()), (Ok(()), 360));
        drop(first);
        assert_eq!(memory.held(), 60);
        drop(second);
        assert_eq!(memory.held(), 0);
    }
}
