//! Limits on the number of requests of a rule: a token bucket over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use portcullis_message::Reply;

/// So many requests in an interval, and the status of what is beyond (kind `EdgePolicy`, `rateLimit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose it is: what names the same shares one bucket.
    pub bucket: Arc<str>,
    /// How many requests each interval adds; where neither this nor the burst is more than none, nothing passes.
    pub requests: u32,
    /// The interval.
    pub interval: Duration,
    /// How many may come at once.
    pub burst: u32,
    /// 429 unless said otherwise.
    pub status: StatusCode,
}

/// A token bucket that all workers take from (GCRA): one number says when it will be full again. It is never locked;
/// of workers that meet in it one takes the first token, the others try again at once.
#[derive(Debug)]
pub struct Bucket {
    limit: RateLimit,
    began: Instant,
    /// When it is full again, in nanoseconds since it began.
    full_at: AtomicU64,
    /// How long it takes to get one token back, in nanoseconds: rounded up, so that there are never more than allowed.
    each: u64,
    /// How long it takes to fill it, in nanoseconds.
    whole: u64,
    policy: Option<HeaderValue>,
}

impl Bucket {
    /// A full one, at this moment.
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        let interval = u64::try_from(limit.interval.as_nanos()).unwrap_or(u64::MAX);
        let each = interval.div_ceil(u64::from(limit.requests.max(1))).max(1);
        let policy = format!("\"limit\";q={};w={}", limit.requests, seconds(interval));
        Bucket {
            began: now,
            full_at: AtomicU64::new(0),
            each,
            whole: each.saturating_mul(u64::from(limit.burst.max(limit.requests.min(1)))),
            policy: HeaderValue::try_from(policy).ok(),
            limit,
        }
    }

    /// What it was made of.
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes one token.
    ///
    /// # Errors
    /// There is none; how long until there is one again.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = u64::try_from(now.saturating_duration_since(self.began).as_nanos());
        let now = now.unwrap_or(u64::MAX);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now).saturating_add(self.each);
            let missing = next.saturating_sub(now).saturating_sub(self.whole);
            if missing > 0 {
                return Err(Duration::from_nanos(missing));
            }
            let (order, met) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.full_at.compare_exchange_weak(full_at, next, order, met) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    /// The reply to a request that found no token (RFC 9110 section 10.2.3, and the fields of the IETF's draft on
    /// rate limits).
    pub fn refusal(&self, wait: Duration) -> Reply {
        let mut reply = Reply::text(self.limit.status, "local_rate_limited");
        let wait = seconds(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        reply.headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        if let Some(policy) = &self.policy {
            reply.headers.insert(RATE_LIMIT_POLICY, policy.clone());
        }
        if let Ok(left) = HeaderValue::try_from(format!("\"limit\";r=0;t={wait}")) {
            reply.headers.insert(RATE_LIMIT, left);
        }
        reply
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// As whole seconds, at least one.
fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, interval: Duration, burst: u32) -> RateLimit {
        let status = StatusCode::TOO_MANY_REQUESTS;
        RateLimit { bucket: "b".into(), requests, interval, burst, status }
    }

    #[test]
    fn a_limit_of_none_lets_nothing_pass() {
        let begin = Instant::now();
        let bucket = Bucket::new(limit(0, Duration::from_secs(1), 0), begin);
        for seconds in [0, 1, 100_000] {
            assert!(bucket.take(begin + Duration::from_secs(seconds)).is_err());
        }
    }

    #[test]
    fn a_burst_passes_and_then_what_comes_back() {
        let start = Instant::now();
        let bucket = Bucket::new(limit(2, Duration::from_secs(1), 3), start);
        assert_eq!([(); 3].map(|()| bucket.take(start)), [Ok(()); 3]);
        let half = Duration::from_millis(500);
        assert_eq!(bucket.take(start), Err(half));
        assert_eq!(bucket.take(start + half / 2), Err(half / 2));
        assert_eq!(bucket.take(start + half), Ok(()));
        assert_eq!(bucket.take(start + half), Err(half));
        let later = start + Duration::from_secs(3600);
        let passed = (0..10).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(passed, 3, "it never holds more than the burst");
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let bucket = Bucket::new(limit(60, Duration::from_secs(60), 1), Instant::now());
        let reply = bucket.refusal(Duration::from_millis(1001));
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
        let field = |name| reply.headers[name].to_str().unwrap();
        assert_eq!(field("retry-after"), "2");
        assert_eq!(field("ratelimit"), "\"limit\";r=0;t=2");
        assert_eq!(field("ratelimit-policy"), "\"limit\";q=60;w=60");
    }

    #[test]
    fn workers_share_it() {
        let start = Instant::now();
        let bucket = Bucket::new(limit(1, Duration::from_secs(3600), 1000), start);
        let taken = || (0..1000).filter(|_| bucket.take(start).is_ok()).count();
        let sum: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(taken)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, 1000);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_comes_back(
            requests in 1_u32..=1_000_000,
            interval in prop_oneof![1_u64..=10, 1_u64..=3_600_000],
            burst in 1_u32..=100,
            pauses in prop::collection::vec(0_u64..300, 1..200),
        ) {
            let start = Instant::now();
            let interval = Duration::from_millis(interval);
            let bucket = Bucket::new(limit(requests, interval, burst), start);
            let (mut now, mut passed) = (start, 0_u128);
            for pause in pauses {
                // In hundredths of the time that a token takes to come back.
                let nanoseconds = interval.as_nanos() * u128::from(pause) / u128::from(requests);
                now += Duration::from_nanos((nanoseconds / 100) as u64 + pause % 2);
                while bucket.take(now).is_ok() {
                    passed += 1;
                    // burst + rate * time, without a rounding.
                    let grown = u128::from(requests) * (now - start).as_nanos();
                    let most = u128::from(burst) * interval.as_nanos() + grown;
                    prop_assert!(passed * interval.as_nanos() <= most);
                }
            }
        }
    }
}
