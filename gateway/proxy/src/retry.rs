//! Whether an attempt is worth another: what is wanted, harmless, and not yet too much.

use http::header::{HeaderMap, HeaderName};
use http::{Method, StatusCode};
use portcullis_model::{RetryOn, RetryPolicy};
use portcullis_upstream::Cost;

/// What is to be done after an attempt. `attempts` are those made, this one included.
///
/// Wanted is what the policy names. Harmless is what no upstream can have acted on, and what may be executed
/// twice; nothing that a policy says makes a POST harmless.
pub(crate) fn is_worth_another(
    policy: &RetryPolicy,
    safety: Safety,
    attempts: u32,
    fate: Fate,
) -> Verdict {
    if policy.attempts == 0 || !is_wanted(policy, safety, fate) || !is_harmless(safety, fate) {
        Verdict::Final
    } else if attempts > policy.attempts {
        Verdict::Spent
    } else if fate.is_unsent() || fate == Fate::Stale || safety == Safety::AsWritten {
        // One that is sent again on a fresh connection cannot be stale once more; Istio has no bound of its own.
        Verdict::Again(Cost::Free)
    } else {
        Verdict::Again(Cost::Counted)
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No connection came about.
    Unreached,
    /// Provably no upstream has acted on it: the connection was closed before anything was written, or the upstream
    /// says that it has not looked.
    Unsent,
    /// A connection that had served others closed without a byte of answer, as an idle one does.
    Stale,
    /// The connection broke before the reply's head.
    Broken,
    /// What came is no HTTP.
    Malformed,
    /// Nothing came within the time of one attempt.
    Late,
    /// A reply.
    Answered(Answered),
    /// There is nobody to send it to, or the fault is not the upstream's: never better the next time.
    Hopeless,
}

/// What of a reply's head a policy can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    /// Of a reply that is trailers alone.
    pub(crate) grpc_status: Option<u32>,
    pub(crate) limit: RateLimit,
}

/// Whether a reply says that its sender limits rates (`x-envoy-ratelimited`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateLimit {
    Unsaid,
    Reached,
}

/// Whether a request may be executed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// It may (RFC 9110 section 9.2.2), or its client gave it a key by which the upstream knows it again.
    Idempotent,
    /// Whether it may or not: under `--compat istio` what the policy names is repeated.
    AsWritten,
    /// It may not.
    Unsafe,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client gets what came of it.
    Final,
    /// It were worth another, but there were as many as may be.
    Spent,
    /// Another one, if there is room for it.
    Again(Cost),
}

/// `--compat istio`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsafeRepeats {
    /// A POST that an upstream may have seen is not sent again, whatever a policy says.
    #[default]
    Refused,
    /// Every request is repeated where a policy says so and nowhere else, and within the bounds that a
    /// DestinationRule sets alone, as in Istio.
    AsWritten,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

impl Fate {
    /// Whether provably no upstream has acted on it.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Fate::Unreached | Fate::Unsent)
    }
}

impl Safety {
    /// Of a request.
    pub(crate) fn of(method: &Method, headers: &HeaderMap, repeats: UnsafeRepeats) -> Self {
        let has_key = || headers.get(IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty());
        match repeats {
            UnsafeRepeats::AsWritten => Safety::AsWritten,
            UnsafeRepeats::Refused if method.is_idempotent() || has_key() => Safety::Idempotent,
            UnsafeRepeats::Refused => Safety::Unsafe,
        }
    }
}

impl Answered {
    /// Of a reply's head.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let grpc_status =
            headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok()?.parse().ok());
        let limited = headers.contains_key(RATE_LIMITED);
        let limit = if limited { RateLimit::Reached } else { RateLimit::Unsaid };
        Answered { status, grpc_status, limit }
    }
}

fn is_harmless(safety: Safety, fate: Fate) -> bool {
    fate.is_unsent() || safety != Safety::Unsafe
}

/// Whether the policy names it, with Envoy's meaning of its words. What is free of any risk is always wanted where
/// anything is, also by a policy that names something else alone: a lost request helps nobody.
fn is_wanted(policy: &RetryPolicy, safety: Safety, fate: Fate) -> bool {
    let on = &policy.on;
    let idempotent = safety == Safety::Idempotent;
    match fate {
        Fate::Unreached | Fate::Unsent => true,
        Fate::Stale => idempotent || on_any_reset(on),
        Fate::Broken => on_any_reset(on) || (on.reset_of_idempotent && idempotent),
        Fate::Malformed => on_any_reset(on),
        // Whoever limits an attempt wants another.
        Fate::Late => idempotent || on_any_reset(on),
        Fate::Answered(answered) => wants_reply(policy, answered),
        Fate::Hopeless => false,
    }
}

fn on_any_reset(on: &RetryOn) -> bool {
    on.reset || on.any_5xx || on.gateway_error
}

fn wants_reply(policy: &RetryPolicy, answered: Answered) -> bool {
    let on = &policy.on;
    if answered.limit == RateLimit::Reached {
        return on.envoy_ratelimited;
    }
    let status = answered.status;
    let by_grpc = |grpc: u32| grpc < u32::BITS && on.grpc_statuses & (1 << grpc) != 0;
    (on.any_5xx && status.is_server_error())
        || (on.gateway_error && matches!(status.as_u16(), 502..=504))
        || (on.retriable_4xx && status == StatusCode::CONFLICT)
        || policy.statuses.contains(&status)
        || answered.grpc_status.is_some_and(by_grpc)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL_RESETS: RetryOn = RetryOn { any_5xx: true, reset: true, ..RetryOn::DEFAULT };

    fn policy(on: RetryOn) -> RetryPolicy {
        RetryPolicy { on, ..RetryPolicy::default() }
    }

    fn answered(status: u16) -> Fate {
        let status = StatusCode::from_u16(status).unwrap();
        Fate::Answered(Answered { status, grpc_status: None, limit: RateLimit::Unsaid })
    }

    const FREE: Verdict = Verdict::Again(Cost::Free);
    const COUNTED: Verdict = Verdict::Again(Cost::Counted);

    #[test]
    fn where_nothing_is_written() {
        use Safety::{AsWritten, Idempotent, Unsafe};
        let unwritten = RetryPolicy::default();
        for (safety, fate, verdict) in [
            (Unsafe, Fate::Unreached, FREE),
            (Unsafe, Fate::Unsent, FREE),
            (Idempotent, Fate::Unsent, FREE),
            (Idempotent, Fate::Stale, FREE),
            (Idempotent, Fate::Broken, COUNTED),
            (Idempotent, Fate::Late, COUNTED),
            (Unsafe, Fate::Stale, Verdict::Final),
            (Unsafe, Fate::Broken, Verdict::Final),
            (Unsafe, Fate::Late, Verdict::Final),
            // Istio's own default names no reset.
            (AsWritten, Fate::Stale, Verdict::Final),
            (AsWritten, Fate::Broken, Verdict::Final),
            (Idempotent, Fate::Malformed, Verdict::Final),
            (Idempotent, answered(503), Verdict::Final),
            (Idempotent, Fate::Hopeless, Verdict::Final),
        ] {
            assert_eq!(
                is_worth_another(&unwritten, safety, 1, fate),
                verdict,
                "{safety:?} {fate:?}"
            );
        }
    }

    #[test]
    fn what_is_written_is_wanted_and_nothing_else() {
        let nothing = RetryOn::NOTHING;
        for (on, fate, verdict) in [
            (RetryOn { any_5xx: true, ..nothing }, answered(500), COUNTED),
            (RetryOn { any_5xx: true, ..nothing }, answered(404), Verdict::Final),
            (RetryOn { any_5xx: true, ..nothing }, Fate::Broken, COUNTED),
            (RetryOn { gateway_error: true, ..nothing }, answered(503), COUNTED),
            (RetryOn { gateway_error: true, ..nothing }, answered(500), Verdict::Final),
            (RetryOn { retriable_4xx: true, ..nothing }, answered(409), COUNTED),
            (RetryOn { retriable_4xx: true, ..nothing }, answered(429), Verdict::Final),
            (RetryOn { retriable_4xx: true, ..nothing }, Fate::Broken, Verdict::Final),
            (RetryOn { retriable_4xx: true, ..nothing }, Fate::Unsent, FREE),
            (RetryOn { reset: true, ..nothing }, Fate::Malformed, COUNTED),
            (RetryOn { reset: true, ..nothing }, answered(503), Verdict::Final),
        ] {
            let policy = policy(on);
            let found = is_worth_another(&policy, Safety::Idempotent, 1, fate);
            assert_eq!(found, verdict, "{on:?} {fate:?}");
        }
        let statuses = vec![StatusCode::TOO_EARLY];
        let by_status = RetryPolicy { statuses, ..policy(nothing) };
        let verdict = |fate| is_worth_another(&by_status, Safety::Idempotent, 1, fate);
        assert_eq!((verdict(answered(425)), verdict(answered(429))), (COUNTED, Verdict::Final));
    }

    #[test]
    fn grpc_says_its_status_beside_the_other() {
        let fate = |grpc| {
            let (status, limit) = (StatusCode::OK, RateLimit::Unsaid);
            Fate::Answered(Answered { status, grpc_status: Some(grpc), limit })
        };
        let verdict =
            |grpc| is_worth_another(&RetryPolicy::default(), Safety::Idempotent, 1, fate(grpc));
        assert_eq!(
            [14, 1, 13, 0, 99].map(verdict).map(|v| v == COUNTED),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn who_limits_rates_is_left_alone_unless_named() {
        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMITED, "true".parse().unwrap());
        let fate = Fate::Answered(Answered::of(StatusCode::SERVICE_UNAVAILABLE, &headers));
        let verdict = |on| is_worth_another(&policy(on), Safety::Idempotent, 1, fate);
        assert_eq!(verdict(ALL_RESETS), Verdict::Final);
        assert_eq!(verdict(RetryOn { envoy_ratelimited: true, ..RetryOn::NOTHING }), COUNTED);
    }

    #[test]
    fn as_istio_repeats_what_is_written_without_a_bound_of_ours() {
        let verdict = |on, fate| is_worth_another(&policy(on), Safety::AsWritten, 1, fate);
        assert_eq!(verdict(ALL_RESETS, Fate::Broken), FREE);
        assert_eq!(verdict(ALL_RESETS, answered(503)), FREE);
        assert_eq!(verdict(RetryOn::DEFAULT, Fate::Broken), Verdict::Final);
    }

    #[test]
    fn attempts_come_to_an_end() {
        let verdict = |policy: &RetryPolicy, made| {
            is_worth_another(policy, Safety::Idempotent, made, Fate::Unsent)
        };
        let two = RetryPolicy::default();
        assert_eq!([1, 2, 3].map(|made| verdict(&two, made)), [FREE, FREE, Verdict::Spent]);
        let none = RetryPolicy { attempts: 0, ..policy(ALL_RESETS) };
        assert_eq!(verdict(&none, 1), Verdict::Final);
    }

    #[test]
    fn a_key_makes_a_post_idempotent() {
        let mut headers = HeaderMap::new();
        let of = |headers: &HeaderMap, repeats| Safety::of(&Method::POST, headers, repeats);
        assert_eq!(of(&headers, UnsafeRepeats::Refused), Safety::Unsafe);
        assert_eq!(of(&headers, UnsafeRepeats::AsWritten), Safety::AsWritten);
        let get = Safety::of(&Method::GET, &headers, UnsafeRepeats::AsWritten);
        assert_eq!(get, Safety::AsWritten);
        headers.insert(IDEMPOTENCY_KEY, "".parse().unwrap());
        assert_eq!(of(&headers, UnsafeRepeats::Refused), Safety::Unsafe);
        headers.insert(IDEMPOTENCY_KEY, "\"7\"".parse().unwrap());
        assert_eq!(of(&headers, UnsafeRepeats::Refused), Safety::Idempotent);
        for (method, safety) in [
            (Method::GET, Safety::Idempotent),
            (Method::PUT, Safety::Idempotent),
            (Method::DELETE, Safety::Idempotent),
            (Method::PATCH, Safety::Unsafe),
            (Method::CONNECT, Safety::Unsafe),
            (Method::from_bytes(b"MOVE").unwrap(), Safety::Unsafe),
        ] {
            assert_eq!(Safety::of(&method, &HeaderMap::new(), UnsafeRepeats::Refused), safety);
        }
    }

    fn any_policy() -> impl Strategy<Value = RetryPolicy> {
        let words = proptest::collection::vec(any::<bool>(), 9);
        (0..5_u32, words, any::<u32>(), proptest::collection::vec(100..600_u16, 0..3)).prop_map(
            |(attempts, words, grpc_statuses, statuses)| RetryPolicy {
                attempts,
                on: RetryOn {
                    any_5xx: words[0],
                    gateway_error: words[1],
                    reset: words[2],
                    reset_of_idempotent: words[3],
                    reset_before_request: words[4],
                    connect_failure: words[5],
                    refused_stream: words[6],
                    retriable_4xx: words[7],
                    envoy_ratelimited: words[8],
                    grpc_statuses,
                },
                statuses: statuses
                    .iter()
                    .map(|code| StatusCode::from_u16(*code).unwrap())
                    .collect(),
                ..RetryPolicy::default()
            },
        )
    }

    fn any_fate() -> impl Strategy<Value = Fate> {
        let answered = (100..600_u16, proptest::option::of(0..20_u32), any::<bool>()).prop_map(
            |(status, grpc_status, limited)| {
                let status = StatusCode::from_u16(status).unwrap();
                let limit = if limited { RateLimit::Reached } else { RateLimit::Unsaid };
                Fate::Answered(Answered { status, grpc_status, limit })
            },
        );
        prop_oneof![
            Just(Fate::Unreached),
            Just(Fate::Unsent),
            Just(Fate::Stale),
            Just(Fate::Broken),
            Just(Fate::Malformed),
            Just(Fate::Late),
            Just(Fate::Hopeless),
            answered,
        ]
    }

    proptest! {
        #[test]
        fn an_unsafe_request_that_was_sent_is_never_repeated(
            policy in any_policy(), made in 1..6_u32, fate in any_fate()
        ) {
            let verdict = is_worth_another(&policy, Safety::Unsafe, made, fate);
            prop_assert!(fate.is_unsent() || verdict == Verdict::Final);
        }

        #[test]
        fn no_more_is_repeated_than_is_written(
            policy in any_policy(), made in 1..6_u32, fate in any_fate()
        ) {
            let verdict = is_worth_another(&policy, Safety::Idempotent, made, fate);
            let again = matches!(verdict, Verdict::Again(_));
            prop_assert!(!again || made <= policy.attempts);
        }
    }
}
