//! Istio's `StringMatch`: a condition on a text.

use portcullis_model::StringMatch;

use crate::reader::{Cursor, Schema};
use crate::scalars::pattern;

static STRING_MATCH: Schema = Schema {
    what: "a string match",
    served: &["exact", "prefix", "regex"],
    not_yet: &[],
    skipped: &[],
};

/// What a field that may also ask for presence alone says.
pub(super) enum Presence {
    /// It has to be there (`{}`).
    Alone,
    /// It has to be so.
    With(StringMatch),
}

/// Reads a condition.
pub(super) fn read_string_match(cursor: &Cursor<'_>) -> Option<StringMatch> {
    let fields = cursor.fields(&STRING_MATCH)?;
    if fields.exclusive(&["exact", "prefix", "regex"]) {
        return None;
    }
    if let Some(field) = fields.field("exact") {
        return Some(StringMatch::Exact(field.text()?.into()));
    }
    if let Some(field) = fields.field("prefix") {
        return Some(StringMatch::Prefix(field.text()?.into()));
    }
    if let Some(field) = fields.field("regex") {
        return pattern(&field).map(StringMatch::Pattern);
    }
    cursor.refuse("the condition says nothing", "write `exact`, `prefix` or `regex`");
    None
}

/// Reads a condition, or `{}` for presence.
pub(super) fn read_presence(cursor: &Cursor<'_>) -> Option<Presence> {
    if cursor.is_empty_mapping() || cursor.is_null() {
        return Some(Presence::Alone);
    }
    read_string_match(cursor).map(Presence::With)
}

impl Presence {
    /// The condition on the value; `None` for presence alone.
    pub(super) fn value(self) -> Option<StringMatch> {
        match self {
            Presence::Alone => None,
            Presence::With(condition) => Some(condition),
        }
    }
}
