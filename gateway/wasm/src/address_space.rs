//! How memories of guests lie in the address space, which some containers limit (`ulimit -v`).

use wasmtime::Config;

/// With less than this the usual reservations, 4 GiB and guards for each memory, do not fit many times.
const PLENTY: u64 = 1 << 40;
/// What a memory gets instead: more than the default limit of a plugin, so that it hardly ever moves.
const SMALL_RESERVATION: u64 = 32 << 20;
const SMALL_GUARD: u64 = 64 << 10;

/// What room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressSpace {
    /// Memories lie in reservations so large that no access needs to be checked.
    Plenty,
    /// It is limited: small reservations, each access is checked.
    Limited,
}

impl AddressSpace {
    /// What this process has.
    pub(crate) fn probe() -> Self {
        match limit() {
            Some(limit) if limit < PLENTY => AddressSpace::Limited,
            _ => AddressSpace::Plenty,
        }
    }

    /// Has the memories of an engine laid out so that they fit.
    pub(crate) fn lay_out(self, config: &mut Config) {
        if self == AddressSpace::Limited {
            config.memory_reservation(SMALL_RESERVATION);
            config.memory_reservation_for_growth(1 << 20);
            config.memory_guard_size(SMALL_GUARD);
        }
    }
}

/// In bytes; `None` where there is none.
#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}
