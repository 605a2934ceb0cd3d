//! So much of something in a second, and what was refused beyond it.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// So much in a second. The clock is read only when something is taken.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: usize,
    taken: usize,
    refused: u64,
    until: Option<Instant>,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There was; so many were refused before, since the last that was told.
    Yes {
        /// How many.
        refused_before: u64,
    },
    /// There was not.
    No,
}

impl Allowance {
    /// So much in a second.
    pub(crate) fn of(most: usize) -> Self {
        Allowance { most, taken: 0, refused: 0, until: None }
    }

    /// Takes so much.
    pub(crate) fn take(&mut self, amount: usize) -> Taken {
        self.take_at(Instant::now(), amount)
    }

    fn take_at(&mut self, now: Instant, amount: usize) -> Taken {
        if self.until.is_none_or(|until| now >= until) {
            self.taken = 0;
            self.until = Some(now + WINDOW);
        }
        if self.taken.saturating_add(amount) > self.most {
            self.refused += 1;
            return Taken::No;
        }
        self.taken += amount;
        Taken::Yes { refused_before: std::mem::take(&mut self.refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_and_told_of_later() {
        let (mut allowance, now) = (Allowance::of(3), Instant::now());
        assert_eq!(allowance.take_at(now, 2), Taken::Yes { refused_before: 0 });
        assert_eq!(allowance.take_at(now, 2), Taken::No);
        assert_eq!(allowance.take_at(now, 1), Taken::Yes { refused_before: 1 });
        assert_eq!(allowance.take_at(now, 1), Taken::No);
        assert_eq!(allowance.take_at(now + WINDOW, 3), Taken::Yes { refused_before: 1 });
    }
}
