//! Istio's `HTTPFaultInjection`: `fault` of a rule.

use std::time::Duration;

use http::StatusCode;
use portcullis_filters::{AbortStatus, Fault, FaultAbort, FaultDelay};

use super::mirrors::{parts_of, read_percentage};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, interval};

static FAULT: Schema =
    Schema { what: "a fault", served: &["delay", "abort"], not_yet: &[], skipped: &[] };
static DELAY: Schema = Schema {
    what: "a delay",
    served: &["fixedDelay", "percentage", "percent"],
    not_yet: &["exponentialDelay"],
    skipped: &[],
};
static ABORT: Schema = Schema {
    what: "an abort",
    served: &["httpStatus", "grpcStatus", "percentage", "percent"],
    not_yet: &["http2Error"],
    skipped: &[],
};

/// More than this holds a request longer than anybody waits.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Reads `fault`.
pub(super) fn read_fault(field: &Cursor<'_>) -> Option<Fault> {
    let fields = field.fields(&FAULT)?;
    let delay = fields.field("delay");
    let abort = fields.field("abort");
    if delay.is_none() && abort.is_none() {
        fields.missing("delay", "a fault is a `delay`, an `abort`, or both");
    }
    let delay = delay.and_then(|field| read_delay(&field.fields(&DELAY)?));
    let abort = abort.and_then(|field| read_abort(&field.fields(&ABORT)?));
    Some(Fault { delay, abort })
}

fn read_delay(fields: &Fields<'_>) -> Option<FaultDelay> {
    let parts_per_million = read_share(fields);
    let field = fields.required("fixedDelay")?;
    let duration = interval(&field)?;
    if duration > LONGEST_DELAY {
        field.refuse("the longest delay is 1h", "");
        return None;
    }
    Some(FaultDelay { duration, parts_per_million })
}

fn read_abort(fields: &Fields<'_>) -> Option<FaultAbort> {
    let parts_per_million = read_share(fields);
    if fields.exclusive(&["httpStatus", "grpcStatus"]) {
        return None;
    }
    let status = match (fields.field("httpStatus"), fields.field("grpcStatus")) {
        (Some(field), _) => {
            let status = u16::try_from(field.integer(200, 599)?).ok()?;
            AbortStatus::Http(StatusCode::from_u16(status).ok()?)
        }
        (None, Some(field)) => AbortStatus::Grpc(choice(&field, &GRPC_STATUSES)?),
        (None, None) => {
            fields.missing("httpStatus", "write `httpStatus` or `grpcStatus`");
            return None;
        }
    };
    Some(FaultAbort { status, parts_per_million })
}

/// Of so many requests in a million; none where nothing is written, as in Istio.
fn read_share(fields: &Fields<'_>) -> u32 {
    if fields.exclusive(&["percentage", "percent"]) {
        return 0;
    }
    if let Some(field) = fields.field("percentage") {
        return read_percentage(&field).unwrap_or(0);
    }
    let Some(field) = fields.field("percent") else {
        fields.cursor().report(
            Gravity::Warns,
            codes::NO_EFFECT,
            "without a `percentage` no request gets the fault, as in Istio",
            "write `percentage: {value: 100}`",
        );
        return 0;
    };
    let Some(percent) = field.integer(0, 100) else { return 0 };
    field.report(
        Gravity::Warns,
        codes::DEPRECATED,
        "the field is deprecated",
        format!("write `percentage: {{value: {percent}}}`"),
    );
    parts_of(percent as f64)
}

/// By the names of gRPC's own list of codes.
const GRPC_STATUSES: [(&str, u32); 18] = [
    ("OK", 0),
    ("CANCELLED", 1),
    ("CANCELED", 1),
    ("UNKNOWN", 2),
    ("INVALID_ARGUMENT", 3),
    ("DEADLINE_EXCEEDED", 4),
    ("NOT_FOUND", 5),
    ("ALREADY_EXISTS", 6),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("FAILED_PRECONDITION", 9),
    ("ABORTED", 10),
    ("OUT_OF_RANGE", 11),
    ("UNIMPLEMENTED", 12),
    ("INTERNAL", 13),
    ("UNAVAILABLE", 14),
    ("DATA_LOSS", 15),
    ("UNAUTHENTICATED", 16),
];
