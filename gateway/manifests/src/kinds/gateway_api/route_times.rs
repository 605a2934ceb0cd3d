//! `timeouts` and `retry` of a route's rule.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_model::{RetryOn, RetryPolicy, parse_duration};

use crate::reader::{Cursor, Fields, Schema};

/// How long a rule's requests may take, and when they are repeated.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteTimes {
    /// `timeouts.request`
    pub(crate) request: Option<Duration>,
    /// `None` where nothing is written.
    pub(crate) retries: Option<Arc<RetryPolicy>>,
}

static TIMEOUTS: Schema = Schema {
    what: "`timeouts`",
    served: &["request", "backendRequest"],
    not_yet: &[],
    skipped: &[],
};
static RETRY: Schema = Schema {
    what: "`retry`",
    served: &["codes", "attempts", "backoff"],
    not_yet: &[],
    skipped: &[],
};

const MOST_ATTEMPTS: i64 = 100;

/// Reads both.
pub(super) fn read_times(rule: &Fields<'_>) -> RouteTimes {
    let mut times = RouteTimes::default();
    if let Some(field) = rule.field("retry") {
        times.retries = read_retry(&field).map(Arc::new);
    }
    let field = rule.field("timeouts");
    let Some(fields) = field.as_ref().and_then(|field| field.fields(&TIMEOUTS)) else {
        return times;
    };
    let backend = fields.field("backendRequest");
    let each = backend.as_ref().and_then(gateway_duration).filter(|time| !time.is_zero());
    let request = fields.field("request");
    times.request = request.as_ref().and_then(gateway_duration).filter(|time| !time.is_zero());
    if let (Some(field), Some(each), Some(all)) = (&backend, each, times.request)
        && each > all
    {
        field.refuse("`backendRequest` is longer than `request`", "write at most as long a time");
    }
    if each.is_some() {
        Arc::make_mut(times.retries.get_or_insert_default()).per_try_timeout = each;
    }
    times
}

/// What is written of connections and statuses is worth another attempt; what is unsafe to repeat is not repeated.
fn read_retry(field: &Cursor<'_>) -> Option<RetryPolicy> {
    let fields = field.fields(&RETRY)?;
    let codes = fields.field("codes");
    let statuses = codes.iter().flat_map(|field| field.items()).filter_map(|item| {
        let number = item.integer(400, 599)?;
        StatusCode::from_u16(u16::try_from(number).ok()?).ok()
    });
    let unwritten = RetryPolicy::default();
    let attempts = match fields.field("attempts") {
        Some(field) => u32::try_from(field.integer(0, MOST_ATTEMPTS)?).ok()?,
        None => unwritten.attempts,
    };
    let backoff = match fields.field("backoff") {
        Some(field) => gateway_duration(&field)?.max(Duration::from_millis(1)),
        None => unwritten.backoff,
    };
    let on = RetryOn { reset: true, ..RetryOn::DEFAULT };
    Some(RetryPolicy { attempts, on, statuses: statuses.collect(), backoff, ..unwritten })
}

/// A duration as the API writes it (GEP-2257): whole numbers with `h`, `m`, `s` or `ms`, up to four of them.
pub(super) fn gateway_duration(field: &Cursor<'_>) -> Option<Duration> {
    let text = field.text()?;
    let mut parts = 0;
    let mut digits = 0;
    let mut is_one = !text.is_empty();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            digits += 1;
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| rest.starts_with(unit));
        let Some(unit) = unit.filter(|_| (1..=5).contains(&digits)) else {
            is_one = false;
            break;
        };
        (parts, digits) = (parts + 1, 0);
        rest = rest.get(unit.len()..).unwrap_or_default();
    }
    let parsed = parse_duration(text).ok().filter(|_| is_one && digits == 0 && parts <= 4);
    if parsed.is_none() {
        let help = "write whole numbers with a unit: `10s`, `250ms`, `1m30s`";
        field.refuse(format!("`{text}` is no duration of Gateway API"), help);
    }
    parsed
}
