//! When a name is looked up again.

use std::time::Duration;

use portcullis_upstream::draw_below;

/// An answer holds at least so long, whatever it says: a server that says 0 is asked once a second.
const FLOOR: Duration = Duration::from_secs(1);
/// And at most so long, so that a mistake in a zone does not stay for a day.
const CEILING: Duration = Duration::from_secs(300);
/// After a failure, doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long after an answer: its time, or up to a tenth less, so that many names do not ask at once.
pub(crate) fn after_answer(ttl: Duration) -> Duration {
    let holds = ttl.clamp(FLOOR, CEILING);
    holds - part_of(holds / 10)
}

/// How long after the n-th failure in a row: between half and all of what is due.
pub(crate) fn after_failures(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let due = doubled.min(LAST_RETRY);
    due - part_of(due / 2)
}

/// Anything from nothing to all of it.
pub(crate) fn part_of(whole: Duration) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX - 1);
    Duration::from_micros(draw_below(micros + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_anew_within_its_time() {
        for seconds in [0, 1, 7, 300, 86_400] {
            let holds = Duration::from_secs(seconds).clamp(FLOOR, CEILING);
            for _ in 0..100 {
                let after = after_answer(Duration::from_secs(seconds));
                assert!(after <= holds && after >= holds * 9 / 10, "{seconds}: {after:?}");
            }
        }
    }

    #[test]
    fn failures_are_repeated_ever_more_slowly() {
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 30), (1000, 30)] {
            let most = Duration::from_secs(most);
            for _ in 0..100 {
                let after = after_failures(failures);
                assert!(after <= most && after >= most / 2, "{failures}: {after:?}");
            }
        }
    }
}
