//! How long a connection may be silent, how old it may become, and how large a head on it.

use portcullis_message::http1::Limits as HeadLimits;
use portcullis_model::{ConnectionPolicy, NEVER, whole_seconds};

use crate::clock::Stage;

/// What is asked of a connection: a [`ConnectionPolicy`] in whole seconds. A deadline is never enforced early,
/// and at most two seconds late: a worker looks once a second instead of arming a timer for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The TLS handshake, and a PROXY header before it.
    pub(crate) handshake: u32,
    /// From there to the first byte of HTTP.
    pub(crate) first_byte: u32,
    /// A request head, from its first byte to its last (HTTP/1).
    pub(crate) head: u32,
    /// Between two requests.
    pub(crate) idle: u32,
    /// From being asked to go to being cut, for a connection that serves nothing.
    pub(crate) farewell: u32,
    /// Since it was accepted.
    pub(crate) max_age: u32,
    /// Of a request head (HTTP/1).
    pub(crate) head_size: HeadLimits,
}

/// See [`Limits::farewell`]: nothing anybody sets.
const FAREWELL: u32 = 10;

impl Limits {
    /// For the first byte. Once nothing new is accepted, a connection opened in advance must not hold up
    /// the exit.
    pub(crate) fn first_byte_at(&self, stage: Stage) -> u32 {
        if stage == Stage::Closing { self.first_byte.min(1) } else { self.first_byte }
    }

    /// How old one connection may become. `luck` is its own; it takes up to a tenth away, so that those that
    /// came together do not go together.
    pub(crate) fn age_for(&self, luck: u8) -> u32 {
        if self.max_age == NEVER {
            return NEVER;
        }
        let earlier = u64::from(self.max_age) * u64::from(luck) / (10 * 255);
        self.max_age - u32::try_from(earlier).unwrap_or(0)
    }
}

impl From<&ConnectionPolicy> for Limits {
    fn from(policy: &ConnectionPolicy) -> Self {
        Limits {
            handshake: whole_seconds(policy.tls_handshake),
            first_byte: whole_seconds(policy.first_byte),
            head: whole_seconds(policy.request_head),
            idle: whole_seconds(policy.idle),
            farewell: FAREWELL,
            max_age: policy.max_age.map_or(NEVER, whole_seconds),
            head_size: HeadLimits {
                head: policy.head.total,
                line: policy.head.line,
                field: policy.head.field,
                fields: policy.head.fields.min(HeadLimits::MOST_FIELDS),
            },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::from(&ConnectionPolicy::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let limits = Limits::default();
        assert_eq!((limits.age_for(0), limits.age_for(255)), (3600, 3240));
        let short =
            ConnectionPolicy { max_age: Some(Duration::from_secs(1)), ..Default::default() };
        assert_eq!(Limits::from(&short).age_for(200), 1);
        let never = ConnectionPolicy { max_age: None, ..Default::default() };
        assert_eq!(Limits::from(&never).age_for(200), NEVER);
    }
}
