//! Deadlines in the whole seconds in which workers look at them.

use std::time::Duration;

/// No deadline: longer than any process runs.
pub const NEVER: u32 = u32::MAX;

/// A deadline in whole seconds, rounded up so that it is never enforced early. One that is too long for that is
/// [`NEVER`].
pub fn whole_seconds(duration: Duration) -> u32 {
    let whole = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(whole).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_count_as_a_second() {
        assert_eq!(whole_seconds(Duration::from_millis(1500)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::MAX), NEVER);
    }
}
