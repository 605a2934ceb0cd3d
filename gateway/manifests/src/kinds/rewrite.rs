//! Istio's `HTTPRewrite`: `rewrite` of a rule.

use portcullis_filters::{PathRewrite, PatternError, Substitution};

use super::header_operations::Headers;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{self, bad_pattern};

/// What becomes of a request's path and authority.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rewrite {
    pub(crate) path: Option<PathRewrite>,
    pub(crate) authority: Option<Box<str>>,
}

static REWRITE: Schema = Schema {
    what: "a rewrite",
    served: &["uri", "authority", "uriRegexRewrite"],
    not_yet: &[],
    skipped: &[],
};
static REGEX_REWRITE: Schema = Schema {
    what: "a rewrite by an expression",
    served: &["match", "rewrite"],
    not_yet: &[],
    skipped: &[],
};

/// Reads `rewrite` of a rule with these header operations.
pub(super) fn read_rewrite(field: &Cursor<'_>, headers: Option<&Headers>) -> Option<Rewrite> {
    let fields = field.fields(&REWRITE)?;
    fields.exclusive(&["uri", "uriRegexRewrite"]);
    let path = match (fields.field("uri"), fields.field("uriRegexRewrite")) {
        (Some(field), _) => read_path_rewrite(&field),
        (None, Some(field)) => read_regex_rewrite(&field.fields(&REGEX_REWRITE)?),
        (None, None) => None,
    };
    let authority = fields.field("authority").and_then(|field| {
        if headers.is_some_and(|headers| headers.authority.is_some()) {
            field.report(
                Gravity::Warns,
                codes::NO_EFFECT,
                "the authority is rewritten twice: what `headers.request.set` says of the host has no effect",
                "keep one of them",
            );
        }
        scalars::authority(&field)
    });
    Some(Rewrite { path, authority })
}

/// Reads what comes in the place of a prefix, or of a path that was matched whole.
pub(super) fn read_path_rewrite(field: &Cursor<'_>) -> Option<PathRewrite> {
    let text = field.text()?;
    if text.contains(['?', '#', ' ']) || text.bytes().any(|byte| byte.is_ascii_control()) {
        field.refuse(format!("`{text}` is no path"), "write a path without a query");
        return None;
    }
    Some(PathRewrite::Matched(text.into()))
}

fn read_regex_rewrite(fields: &Fields<'_>) -> Option<PathRewrite> {
    let expression = fields.required("match");
    let template = fields.required("rewrite");
    let (expression, template) = (expression?, template?);
    let (pattern, replacement) = (expression.text()?, template.text()?);
    let parse = || Substitution::parse(pattern, replacement);
    match scalars::expression(&expression, parse, Substitution::bytes) {
        Ok(substitution) => Some(PathRewrite::Pattern(substitution)),
        Err(None) => None,
        Err(Some(error)) => {
            let place = match error {
                PatternError::NoSuchGroup(_) | PatternError::Template => &template,
                _ => &expression,
            };
            bad_pattern(place, &error);
            None
        }
    }
}
