//! What one conversion leaves to the next.

use super::host_groups::Groups;
use super::route_memo::RouteMemo;
use crate::last_good::LastGood;

/// What the next conversion wants to know of this one: what was good, and what need not be made again. Empty at start.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub(super) last_good: LastGood,
    pub(super) routes: RouteMemo<Groups>,
}

impl Memory {
    /// With what was good alone, so that all is made again.
    #[cfg(test)]
    pub(super) fn of_what_was_good(&self) -> Self {
        Memory { last_good: self.last_good.clone(), routes: RouteMemo::default() }
    }
}
