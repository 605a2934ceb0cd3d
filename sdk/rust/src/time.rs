//! The host's clock; a module has none of its own.

use std::time::Duration;

use crate::host;

/// The time since 1970. It may jump when the machine's clock is set.
pub fn now() -> Duration {
    Duration::from_nanos(host::now_nanoseconds())
}
