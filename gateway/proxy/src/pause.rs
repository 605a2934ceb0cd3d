//! How long to wait before another attempt.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use portcullis_upstream::draw_below;

/// The pause grows to so many times its base, as in Envoy.
const MOST_BASES: u32 = 10;

/// An upstream that asks for more time than this is not asked again for the same request: its client can wait
/// better than we.
const LONGEST_ASKED: Duration = Duration::from_secs(1);

/// What an upstream asks for by `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    /// So much.
    For(Duration),
    /// Longer than a request is held for, or until a date.
    TooLong,
}

/// The pause before the `nth` repeat (from 1) after one that is worth waiting for: drawn from nothing to the base,
/// which doubles with each, so that not all come back at once.
pub(crate) fn backoff(base: Duration, nth: u32) -> Duration {
    let doubled = base.saturating_mul(1_u32.checked_shl(nth.saturating_sub(1)).unwrap_or(u32::MAX));
    let longest = doubled.min(base.saturating_mul(MOST_BASES));
    let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(draw_below(nanoseconds))
}

impl Asked {
    /// By a reply's head (RFC 9110 section 10.2.3).
    pub(crate) fn by(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(RETRY_AFTER) else { return Asked::Nothing };
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        match digits.and_then(|text| text.parse().ok()).map(Duration::from_secs) {
            Some(pause) if pause <= LONGEST_ASKED => Asked::For(pause),
            _ => Asked::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_are_spread() {
        let base = Duration::from_millis(25);
        for (nth, most) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (60, 250)] {
            let drawn: Vec<_> = (0..200).map(|_| backoff(base, nth)).collect();
            let (least, longest) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
            assert!(*longest < Duration::from_millis(most), "{nth}: {longest:?}");
            assert!(*longest > Duration::from_millis(most * 8 / 10), "{nth}: {longest:?}");
            assert!(*least < Duration::from_millis(most * 2 / 10), "{nth}: {least:?}");
        }
    }

    #[test]
    fn who_asks_for_a_moment_gets_it() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, http::HeaderValue::from_static(text));
            Asked::by(&headers)
        };
        assert_eq!(asked("0"), Asked::For(Duration::ZERO));
        assert_eq!(asked("1"), Asked::For(Duration::from_secs(1)));
        for longer in ["2", "120", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"] {
            assert_eq!(asked(longer), Asked::TooLong, "{longer}");
        }
        assert_eq!(Asked::by(&HeaderMap::new()), Asked::Nothing);
    }
}
