//! The host's clock; a module has none of its own.

use std::time::Duration;

use crate::host;

/// The time since 1970. It may jump when the machine's clock is set.
///
/// ```
/// use std::time::Duration;
///
/// let host = portcullis_sdk::mock::Host::new();
/// let before = portcullis_sdk::time::now();
/// host.advance(Duration::from_secs(1));
/// assert_eq!(portcullis_sdk::time::now() - before, Duration::from_secs(1));
/// ```
pub fn now() -> Duration {
    Duration::from_nanos(host::now_nanoseconds())
}
