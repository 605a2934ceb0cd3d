//! How fast one direction of a request moves, as somebody sees it who looks once a second.

use crate::terms::Terms;

/// Over how many seconds a rate is averaged.
const AVERAGED: u32 = 30;

/// What the earlier looks at one direction have found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Bytes at the last look.
    bytes: u64,
    /// Looks in a row at which bytes were owed and none had moved.
    still: u32,
    /// Looks at which bytes were owed, since the average began.
    owed: u32,
    /// Bytes when the average began.
    began_with: u64,
}

/// Whether the client has something to do for a direction to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Bytes are wanted of it, or there for it to take.
    ByClient,
    /// Somebody else is waited for, or nobody.
    Nothing,
}

/// What is wrong with a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Stalled,
    Slow,
}

impl Pace {
    /// Looks at a direction in which so many bytes have moved in all. Only the seconds in which the client
    /// owes something count against it: an upstream that is slow itself is not its fault.
    pub(crate) fn look(&mut self, bytes: u64, owed: Owed, terms: Terms) -> Option<Fault> {
        let moved = bytes != std::mem::replace(&mut self.bytes, bytes);
        if owed == Owed::Nothing {
            self.still = 0;
            return None;
        }
        self.still = if moved { 0 } else { self.still.saturating_add(1) };
        // One more than that: the first look may come right after the last move.
        if self.still > terms.stalled {
            return Some(Fault::Stalled);
        }
        self.owed += 1;
        if self.owed <= AVERAGED {
            return None;
        }
        let least = u64::from(terms.min_rate) * u64::from(AVERAGED);
        let fault = (bytes - self.began_with.min(bytes) < least).then_some(Fault::Slow);
        (self.owed, self.began_with) = (0, bytes);
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { stalled: 60, idle: 300, min_rate: 100 };

    /// The look at which a fault is found in a direction that moves so many bytes a second.
    fn fault_at(rate: u64, terms: Terms) -> Option<(u64, Fault)> {
        let mut pace = Pace::default();
        (1..1000).find_map(|second| {
            pace.look(second * rate, Owed::ByClient, terms).map(|fault| (second, fault))
        })
    }

    #[test]
    fn silence_is_a_stall_after_a_minute() {
        let terms = Terms { min_rate: 0, ..TERMS };
        assert_eq!(fault_at(0, terms), Some((61, Fault::Stalled)));
        assert_eq!(fault_at(0, TERMS), Some((31, Fault::Slow)));
    }

    #[test]
    fn dribbling_is_no_stall_but_too_slow() {
        assert_eq!(fault_at(1, TERMS), Some((31, Fault::Slow)));
        assert_eq!(fault_at(96, TERMS), Some((31, Fault::Slow)));
        assert_eq!(fault_at(100, TERMS), None);
        assert_eq!(fault_at(1, Terms { min_rate: 0, ..TERMS }), None);
    }

    #[test]
    fn a_good_start_does_not_excuse_the_rest() {
        let mut pace = Pace::default();
        let looks = (1..100).map(|second| pace.look(1 << 20 | second, Owed::ByClient, TERMS));
        assert_eq!(looks.filter(|fault| *fault == Some(Fault::Slow)).count(), 2);
    }

    #[test]
    fn what_others_are_slow_at_is_not_held_against_the_client() {
        let mut pace = Pace::default();
        for second in 0..1000 {
            let owed = if second % 40 == 39 { Owed::ByClient } else { Owed::Nothing };
            if second < 1000 / 40 * 30 {
                assert_eq!(pace.look(0, owed, TERMS), None, "{second}");
            }
        }
    }
}
