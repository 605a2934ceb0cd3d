//! `retries` of a VirtualService's rule.

use std::time::Duration;

use http::{Method, StatusCode};
use portcullis_model::{PreviousEndpoints, RemoteLocalities, RetryOn, RetryPolicy, StringMatch};

use super::request_match::WrittenMatch;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::duration;
use crate::suggest::closest;

static RETRIES: Schema = Schema {
    what: "a retry policy",
    served: &[
        "attempts",
        "perTryTimeout",
        "retryOn",
        "retryRemoteLocalities",
        "retryIgnorePreviousHosts",
        "backoff",
    ],
    not_yet: &[],
    skipped: &[],
};

/// More attempts than this are nobody's wish, and would hold a request for minutes.
const MOST_ATTEMPTS: i64 = 100;

/// Envoy takes no shorter base.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(1);

/// Reads `retries` of a rule with these matches.
pub(crate) fn read_retries(field: &Cursor<'_>, matches: &[WrittenMatch]) -> Option<RetryPolicy> {
    let fields = field.fields(&RETRIES)?;
    let unwritten = RetryPolicy::default();
    let on = fields.field("retryOn");
    let (on, statuses) = match on.as_ref().filter(|field| !field.is_empty_text()) {
        Some(field) => read_retry_on(field, matches)?,
        None => (unwritten.on, Vec::new()),
    };
    let per_try = fields.field("perTryTimeout").and_then(|field| duration(&field));
    let backoff = fields.field("backoff").and_then(|field| read_backoff(&field));
    let remote = fields.field("retryRemoteLocalities").and_then(|field| field.boolean());
    let ignore = fields.field("retryIgnorePreviousHosts").and_then(|field| field.boolean());
    Some(RetryPolicy {
        attempts: read_attempts(&fields),
        per_try_timeout: per_try.filter(|timeout| !timeout.is_zero()),
        on,
        statuses,
        backoff: backoff.unwrap_or(unwritten.backoff),
        remote_localities: match remote {
            Some(true) => RemoteLocalities::Allowed,
            _ => unwritten.remote_localities,
        },
        previous: match ignore {
            Some(false) => PreviousEndpoints::DrawnAgain,
            _ => unwritten.previous,
        },
    })
}

/// As in Istio, `retries` without `attempts` are none.
fn read_attempts(fields: &Fields<'_>) -> u32 {
    let Some(field) = fields.field("attempts") else {
        fields.cursor().report(
            Gravity::Warns,
            codes::NO_EFFECT,
            "`retries` without `attempts` repeats nothing, as in Istio",
            "write `attempts: 2`, or `attempts: 0` where that is meant; without `retries` it is two",
        );
        return 0;
    };
    field.integer(0, MOST_ATTEMPTS).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn read_backoff(field: &Cursor<'_>) -> Option<Duration> {
    let backoff = duration(field)?;
    if backoff < SHORTEST_BACKOFF {
        field.refuse("a pause is at least a millisecond", "leave it out for 25ms");
        return None;
    }
    Some(backoff)
}

/// Envoy's words, and statuses, separated by commas.
fn read_retry_on(
    field: &Cursor<'_>,
    matches: &[WrittenMatch],
) -> Option<(RetryOn, Vec<StatusCode>)> {
    let (mut on, mut statuses, mut known) = (RetryOn::NOTHING, Vec::new(), true);
    for word in field.text()?.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && let Some(status) = status(word) {
            statuses.push(status);
        } else if is_number || !add_word(&mut on, word) {
            refuse_word(field, word);
            known = false;
        }
    }
    if known && replays(&on, &statuses) && !is_harmless(matches) {
        field.report(
            Gravity::Warns,
            codes::UNSAFE_RETRY,
            "`retryOn` names what an upstream may have acted on: a POST or PATCH is not repeated for it",
            "nothing is wrong with idempotent requests; a client that wants more sends `Idempotency-Key`, \
             and `--compat istio` repeats as Istio does",
        );
    }
    known.then_some((on, statuses))
}

fn status(word: &str) -> Option<StatusCode> {
    let number = word.parse::<u16>().ok().filter(|number| (100..=599).contains(number))?;
    StatusCode::from_u16(number).ok()
}

fn refuse_word(field: &Cursor<'_>, word: &str) {
    let help = match closest(word, WORDS.iter().map(|(word, _)| *word)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
            format!("write statuses from 100 to 599, or any of: {}", words.join(", "))
        }
    };
    field.refuse(format!("`{word}` is nothing to retry on"), help);
}

type Set = fn(&mut RetryOn);

/// Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
const WORDS: [(&str, Set); 16] = [
    ("5xx", |on| on.any_5xx = true),
    ("gateway-error", |on| on.gateway_error = true),
    ("reset", |on| on.reset = true),
    ("reset-before-request", |on| on.reset_before_request = true),
    ("connect-failure", |on| on.connect_failure = true),
    ("envoy-ratelimited", |on| on.envoy_ratelimited = true),
    ("retriable-4xx", |on| on.retriable_4xx = true),
    ("refused-stream", |on| on.refused_stream = true),
    // The statuses stand beside it; headers cannot be written in Istio, and there is no HTTP/3 to upstreams.
    ("retriable-status-codes", |_| {}),
    ("retriable-headers", |_| {}),
    ("http3-post-connect-failure", |_| {}),
    ("cancelled", |on| on.grpc_statuses |= 1 << 1),
    ("deadline-exceeded", |on| on.grpc_statuses |= 1 << 4),
    ("resource-exhausted", |on| on.grpc_statuses |= 1 << 8),
    ("internal", |on| on.grpc_statuses |= 1 << 13),
    ("unavailable", |on| on.grpc_statuses |= 1 << 14),
];

fn add_word(on: &mut RetryOn, word: &str) -> bool {
    let found = WORDS.iter().find(|(known, _)| *known == word);
    found.inspect(|(_, set)| set(on)).is_some()
}

/// Whether it names what an upstream may have acted on.
fn replays(on: &RetryOn, statuses: &[StatusCode]) -> bool {
    on.any_5xx
        || on.gateway_error
        || on.reset
        || on.retriable_4xx
        || on.grpc_statuses != 0
        || !statuses.is_empty()
}

/// Whether the rule takes idempotent requests alone.
fn is_harmless(matches: &[WrittenMatch]) -> bool {
    let idempotent = |each: &WrittenMatch| match &each.conditions.method {
        Some(StringMatch::Exact(method)) => {
            Method::from_bytes(method.as_bytes()).is_ok_and(|method| method.is_idempotent())
        }
        _ => false,
    };
    !matches.is_empty() && matches.iter().all(idempotent)
}
