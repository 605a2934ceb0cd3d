//! The filter `RequestMirror`.

use std::sync::Arc;

use super::backend_ref::{BackendRef, read_backend_ref};
use crate::reader::{Cursor, Schema};

/// Where copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MirrorRef {
    pub(crate) backend: BackendRef,
    /// Of so many requests in a million.
    pub(crate) parts_per_million: u32,
}

static MIRROR: Schema = Schema {
    what: "a mirror",
    served: &["backendRef", "percent", "fraction"],
    not_yet: &[],
    skipped: &[],
};
static FRACTION: Schema = Schema {
    what: "a fraction",
    served: &["numerator", "denominator"],
    not_yet: &[],
    skipped: &[],
};

const ALL: i64 = 1_000_000;

/// Reads the filter.
pub(super) fn read_mirror_filter(field: &Cursor<'_>, own: &Arc<str>) -> Option<MirrorRef> {
    let fields = field.fields(&MIRROR)?;
    if fields.exclusive(&["percent", "fraction"]) {
        return None;
    }
    let backend = read_backend_ref(&fields.required("backendRef")?, own)?;
    let percent = fields.field("percent");
    let fraction = fields.field("fraction");
    let parts = match (&percent, &fraction) {
        (Some(field), _) => field.integer(0, 100)? * (ALL / 100),
        (None, Some(field)) => read_fraction(field)?,
        (None, None) => ALL,
    };
    Some(MirrorRef { backend, parts_per_million: u32::try_from(parts).ok()? })
}

fn read_fraction(field: &Cursor<'_>) -> Option<i64> {
    let fields = field.fields(&FRACTION)?;
    let numerator = fields.required("numerator")?.integer(0, i32::MAX.into())?;
    let denominator = match fields.field("denominator") {
        Some(field) => field.integer(1, i32::MAX.into())?,
        None => 100,
    };
    if numerator > denominator {
        field.refuse("the fraction is more than all", "write a numerator up to the denominator");
        return None;
    }
    numerator.checked_mul(ALL)?.checked_div(denominator)
}
