//! `rateLimit` and `errorBodies` of an `EdgePolicy`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis_filters::ErrorBody;
use portcullis_model::Origin;

use super::edge_setting::{PlacedSetting, Setting, WrittenLimit};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{duration, header_value};
use crate::yaml::Value;

/// The most requests of an interval, and of a burst.
const MOST_REQUESTS: i64 = 1_000_000;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// So many bodies there are at most, each of so many bytes.
const MOST_BODIES: usize = 32;
const LARGEST_BODY: usize = 64 << 10;

static RATE_LIMIT: Schema = Schema {
    what: "a rate limit",
    served: &["requests", "interval", "burst", "status"],
    not_yet: &[],
    skipped: &[],
};
static ERROR_BODY: Schema = Schema {
    what: "an error body",
    served: &["status", "contentType", "body", "bodyBase64"],
    not_yet: &[],
    skipped: &[],
};

/// Reads both, where they are written.
pub(super) fn read_filters(spec: &Fields<'_>) -> Vec<PlacedSetting> {
    let read = [
        spec.field("rateLimit").map(|field| place(&field, read_rate_limit(&field))),
        spec.field("errorBodies").map(|field| place(&field, read_error_bodies(&field))),
    ];
    read.into_iter().flatten().flatten().collect()
}

fn place(field: &Cursor<'_>, setting: Option<Setting>) -> Option<PlacedSetting> {
    setting.map(|setting| PlacedSetting { setting, field: field.path(), origin: field.origin() })
}

/// `off`, of which some writers of YAML make `false`, or a limit.
fn read_rate_limit(field: &Cursor<'_>) -> Option<Setting> {
    if is_off(field) {
        return Some(Setting::RateLimit(None));
    }
    let fields = field.fields(&RATE_LIMIT)?;
    let requests = fields.required("requests").and_then(|field| read_count(&field));
    let interval = match fields.field("interval") {
        Some(field) => read_interval(&field),
        None => Some(Duration::from_secs(1)),
    };
    let burst = match fields.field("burst") {
        Some(field) => read_count(&field),
        None => requests,
    };
    let status = match fields.field("status") {
        Some(field) => read_status(&field),
        None => Some(StatusCode::TOO_MANY_REQUESTS),
    };
    let limit =
        WrittenLimit { requests: requests?, interval: interval?, burst: burst?, status: status? };
    Some(Setting::RateLimit(Some(limit)))
}

/// Whether a limit is taken away.
pub(super) fn is_off(field: &Cursor<'_>) -> bool {
    match &field.node().value {
        Value::Bool(false) => true,
        Value::Text(text) => &**text == "off",
        _ => false,
    }
}

/// In the place of a limit that cannot be read: nothing passes.
pub(super) fn closed_limit(origin: &Origin) -> PlacedSetting {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let limit = WrittenLimit { requests: 0, interval: Duration::from_secs(1), burst: 0, status };
    let (field, origin) = ("spec.rateLimit".to_owned(), origin.clone());
    PlacedSetting { setting: Setting::RateLimit(Some(limit)), field, origin }
}

fn read_count(field: &Cursor<'_>) -> Option<u32> {
    field.integer(1, MOST_REQUESTS).and_then(|number| u32::try_from(number).ok())
}

fn read_interval(field: &Cursor<'_>) -> Option<Duration> {
    let interval = duration(field)?;
    if (SHORTEST..=LONGEST).contains(&interval) {
        return Some(interval);
    }
    let message = format!("{interval:?} is not from 1ms to 24h");
    field.refuse(message, "write a duration between the two, or leave the field out: it is 1s");
    None
}

fn read_status(field: &Cursor<'_>) -> Option<StatusCode> {
    let status = u16::try_from(field.integer(400, 599)?).ok()?;
    StatusCode::from_u16(status).ok()
}

fn read_error_bodies(field: &Cursor<'_>) -> Option<Setting> {
    let mut bodies: Vec<ErrorBody> = Vec::new();
    for (number, item) in field.items().enumerate() {
        if number == MOST_BODIES {
            let message = format!("there are more than {MOST_BODIES} error bodies");
            field.refuse(message, "write ranges of statuses, such as `5xx`");
            return None;
        }
        let Some(body) = read_error_body(&item) else { continue };
        let covers = |before: &ErrorBody| before.from <= body.from && body.to <= before.to;
        if let Some(earlier) = bodies.iter().position(covers) {
            let message = format!("`errorBodies[{earlier}]` comes first for all of these statuses");
            item.report(
                Gravity::Warns,
                codes::NO_EFFECT,
                message,
                "put what is for fewer statuses in front",
            );
        }
        bodies.push(body);
    }
    field.is_list().then(|| Setting::ErrorBodies(Arc::from(bodies)))
}

fn read_error_body(item: &Cursor<'_>) -> Option<ErrorBody> {
    let fields = item.fields(&ERROR_BODY)?;
    let statuses = fields.required("status").and_then(|field| read_statuses(&field));
    let content_type = match fields.field("contentType") {
        Some(field) => header_value(&field),
        None => Some(HeaderValue::from_static("text/html")),
    };
    let body = read_body(&fields);
    let (from, to) = statuses?;
    Some(ErrorBody { from, to, content_type: content_type?, body: body? })
}

/// `503`, `5xx` or `500-504`, each from 400 to 599.
fn read_statuses(field: &Cursor<'_>) -> Option<(u16, u16)> {
    if let Value::Integer(_) = field.node().value {
        let status = u16::try_from(field.integer(400, 599)?).ok()?;
        return Some((status, status));
    }
    let text = field.text()?;
    let range = match text {
        "4xx" => Some((400, 499)),
        "5xx" => Some((500, 599)),
        text => {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            from.parse::<u16>().ok().zip(to.parse::<u16>().ok())
        }
    };
    let range = range.filter(|(from, to)| 400 <= *from && from <= to && *to <= 599);
    if range.is_none() {
        let message = format!("`{text}` is no status of an error");
        field.refuse(message, "write a status as 503, `4xx` or `5xx`, or a range as `500-504`");
    }
    range
}

fn read_body(fields: &Fields<'_>) -> Option<Bytes> {
    if fields.exclusive(&["body", "bodyBase64"]) {
        return None;
    }
    let (field, body) = match (fields.field("body"), fields.field("bodyBase64")) {
        (Some(field), _) => {
            let text = field.text()?;
            (field, Bytes::copy_from_slice(text.as_bytes()))
        }
        (None, Some(field)) => {
            let Ok(decoded) = STANDARD.decode(field.text()?) else {
                field.refuse("this is not base64", "");
                return None;
            };
            (field, Bytes::from(decoded))
        }
        (None, None) => {
            fields.missing("body", "write `body` as text, or `bodyBase64`");
            return None;
        }
    };
    if body.len() > LARGEST_BODY {
        let message = format!("the body has {} bytes, more than 64Ki", body.len());
        field.refuse(message, "redirect to a larger page, or write a smaller one");
        return None;
    }
    Some(body)
}
