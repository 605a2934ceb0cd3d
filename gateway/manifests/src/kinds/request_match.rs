//! A VirtualService's `HTTPMatchRequest`.

use std::sync::Arc;

use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, Origin, PathCase, PathMatch, QueryMatch, RequestMatch,
    StringMatch,
};

use super::claim_name::read_claim_name;
use super::string_match::{read_presence, read_string_match};
use super::workload_source::{SourceMatch, read_source};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{header_name, port};
use crate::written_path::{Behind, warn_of_lost_path, warn_of_pattern};

static MATCH: Schema = Schema {
    what: "a match",
    served: &[
        "name",
        "uri",
        "ignoreUriCase",
        "scheme",
        "method",
        "authority",
        "headers",
        "withoutHeaders",
        "queryParams",
        "port",
        "gateways",
        "sourceLabels",
        "sourceNamespace",
        "statPrefix",
    ],
    not_yet: &[],
    skipped: &[],
};

/// One entry of `match`.
#[derive(Clone, Debug)]
pub(crate) struct WrittenMatch {
    /// Where it is written.
    pub(crate) origin: Origin,
    /// Which one of its rule's it is; `None` where a delegate's rule has it from the rule that delegates.
    pub(crate) index: Option<usize>,
    /// What it asks of requests.
    pub(crate) conditions: RequestMatch,
    /// What it asks of the gateway.
    pub(crate) source: SourceMatch,
}

/// Reads `match`: a rule applies where one of its items does. `own` are the Gateways of the route, as `ns/name`, and
/// its namespace.
pub(crate) fn read_matches(
    cursor: &Cursor<'_>,
    own: (&[Arc<str>], &Arc<str>),
) -> Vec<WrittenMatch> {
    let read = |(index, item): (usize, Cursor<'_>)| {
        item.fields(&MATCH).map(|fields| read_match(&fields, index, own))
    };
    let mut matches: Vec<_> = cursor.items().enumerate().filter_map(read).collect();
    matches.shrink_to_fit();
    matches
}

fn read_match(fields: &Fields<'_>, index: usize, own: (&[Arc<str>], &Arc<str>)) -> WrittenMatch {
    let origin = fields.cursor().origin();
    let mut found = RequestMatch { origin: Some(origin.clone()), ..RequestMatch::default() };
    let text = |name| fields.field(name).and_then(|field| read_string_match(&field));
    read_path(fields, &mut found);
    found.scheme = fields.field("scheme").and_then(|field| read_scheme(&field));
    found.method = text("method");
    found.authority = text("authority").map(lower_case);
    if let Some(field) = fields.field("headers") {
        for (name, value) in field.entries() {
            match read_claim(name, &value, ClaimSense::Holds) {
                Some(claim) => found.claims.extend(claim),
                None => found.headers.extend(read_header(name, &value)),
            }
        }
    }
    if let Some(field) = fields.field("withoutHeaders") {
        for (name, value) in field.entries() {
            match read_claim(name, &value, ClaimSense::Fails) {
                Some(claim) => found.claims.extend(claim),
                None => found.without_headers.extend(read_header(name, &value)),
            }
        }
    }
    if let Some(field) = fields.field("queryParams") {
        found.query =
            field.entries().filter_map(|(name, value)| read_query(name, &value)).collect();
    }
    found.port = fields.field("port").and_then(|field| port(&field));
    for name in ["name", "statPrefix"] {
        fields.field(name).and_then(|field| field.text());
    }
    let source = read_source(fields, own, &mut found);
    WrittenMatch { origin, index: Some(index), conditions: found, source }
}

fn read_path(fields: &Fields<'_>, found: &mut RequestMatch) {
    let case = fields.field("ignoreUriCase");
    if case.as_ref().and_then(|field| field.boolean()) == Some(true) {
        found.path_case = PathCase::Ignored;
    }
    let Some(field) = fields.field("uri") else { return };
    found.path = match read_string_match(&field) {
        Some(StringMatch::Exact(path)) => {
            check_path(&field, &path, Behind::Nothing, found.path_case);
            Some(PathMatch::Exact(path))
        }
        Some(StringMatch::Prefix(prefix)) => {
            check_path(&field, &prefix, Behind::Anything, found.path_case);
            Some(PathMatch::Prefix(prefix))
        }
        Some(StringMatch::Pattern(pattern)) => {
            if let Some(case) = case.filter(|_| found.path_case == PathCase::Ignored) {
                ignored_case(&case);
                found.path_case = PathCase::Sensitive;
            }
            Some(PathMatch::Pattern(pattern))
        }
        None => None,
    };
}

fn ignored_case(case: &Cursor<'_>) {
    case.report(
        Gravity::Warns,
        codes::NO_EFFECT,
        "`ignoreUriCase` means nothing to a `regex`, as in Istio",
        "begin the expression with `(?i)`",
    );
}

fn check_path(field: &Cursor<'_>, path: &str, behind: Behind, case: PathCase) {
    warn_of_pattern(
        field,
        path,
        "where an expression is meant, write it as `regex`, which fits whole paths",
    );
    if !path.starts_with('/') {
        field.report(
            Gravity::Warns,
            codes::BAD_VALUE,
            format!("`{path}` never matches: every path begins with `/`"),
            "begin it with `/`",
        );
    } else if case == PathCase::Sensitive {
        warn_of_lost_path(field, path, behind);
    }
}

fn read_scheme(field: &Cursor<'_>) -> Option<StringMatch> {
    let condition = read_string_match(field)?;
    if !condition.matches("http") && !condition.matches("https") {
        field.report(
            Gravity::Warns,
            codes::NEVER_MATCHES,
            "the scheme of a request is `http` or `https`, in lower case",
            "write `exact: https` or `exact: http`",
        );
    }
    Some(condition)
}

/// Hosts are compared in lower case.
fn lower_case(condition: StringMatch) -> StringMatch {
    match condition {
        StringMatch::Exact(text) => StringMatch::Exact(text.to_ascii_lowercase().into()),
        StringMatch::Prefix(text) => StringMatch::Prefix(text.to_ascii_lowercase().into()),
        pattern @ StringMatch::Pattern(_) => pattern,
    }
}

/// The outer `None` is for a name that means a header field.
fn read_claim(name: &str, value: &Cursor<'_>, sense: ClaimSense) -> Option<Option<ClaimMatch>> {
    name.starts_with('@').then(|| {
        let path = read_claim_name(name, value)?;
        let value = read_presence(value)?.value();
        Some(ClaimMatch { path, value, sense })
    })
}

fn read_header(name: &str, value: &Cursor<'_>) -> Option<HeaderMatch> {
    if ["uri", "scheme", "method", "authority"].contains(&name) {
        value.report(
            Gravity::Warns,
            codes::NO_EFFECT,
            format!("the header `{name}` is ignored in a match, as in Istio"),
            format!("write the field `{name}` of the match instead"),
        );
        return None;
    }
    let name = header_name(value, name)?;
    Some(HeaderMatch { name, value: read_presence(value)?.value() })
}

fn read_query(name: &str, value: &Cursor<'_>) -> Option<QueryMatch> {
    if name.is_empty() || name.contains(['&', '=', '#']) {
        value.refuse(format!("`{name}` is no name of a query parameter"), "");
        return None;
    }
    Some(QueryMatch { name: name.into(), value: read_presence(value)?.value() })
}
