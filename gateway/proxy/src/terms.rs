//! What is asked of a request's bodies, in the whole seconds in which the worker looks at them.

use std::time::Duration;

use portcullis_model::{NEVER, RequestPolicy, whole_seconds};

/// The deadlines of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Seconds without progress while bytes are owed by the client, or to it.
    pub(crate) stalled: u32,
    /// Seconds without a byte in either direction.
    pub(crate) idle: u32,
    /// Bytes a second; 0 is off.
    pub(crate) min_rate: u32,
}

impl Terms {
    /// Nothing is asked.
    pub(crate) const NONE: Terms = Terms { stalled: NEVER, idle: NEVER, min_rate: 0 };

    /// Those of a request with an end in sight.
    pub(crate) fn of(policy: &RequestPolicy) -> Self {
        Terms {
            stalled: seconds(policy.stalled_body),
            idle: seconds(policy.stream_idle),
            min_rate: policy.min_rate,
        }
    }

    /// Those of gRPC and of upgraded connections, which may well be silent for long on one side.
    pub(crate) fn of_stream(policy: &RequestPolicy) -> Self {
        Terms { stalled: NEVER, idle: seconds(policy.stream_idle), min_rate: 0 }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Terms::of(&RequestPolicy::default())
    }
}

fn seconds(duration: Option<Duration>) -> u32 {
    duration.map_or(NEVER, whole_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_be_silent_until_it_is_idle() {
        let terms = Terms::of_stream(&RequestPolicy::default());
        assert_eq!(terms, Terms { stalled: NEVER, idle: 300, min_rate: 0 });
    }
}
