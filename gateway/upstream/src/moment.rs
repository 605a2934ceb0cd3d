//! Instants that fit into an atomic: milliseconds since this process first asked.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// The milliseconds of an instant; 0 for what lies before the first.
pub(crate) fn millis_of(instant: Instant) -> u64 {
    instant.saturating_duration_since(first()).as_millis() as u64
}

/// The instant of so many milliseconds.
pub(crate) fn instant_of(millis: u64) -> Instant {
    let first = first();
    first.checked_add(Duration::from_millis(millis)).unwrap_or(first)
}

fn first() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    *FIRST.get_or_init(Instant::now)
}
