//! Looks twice at paths that conditions name: what no request can have, and what looks like an expression.

use portcullis_message::{HeadRules, canonical_target};

use crate::codes;
use crate::reader::Cursor;
use crate::report::Gravity;

/// What stands behind the text in paths that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing: it is the whole path.
    Nothing,
    /// Anything: paths begin with it.
    Anything,
}

/// Warns of a path that begins with `/` and never fits, since requests are compared without their query and in their
/// canonical form.
pub(crate) fn warn_of_lost_path(field: &Cursor<'_>, path: &str, behind: Behind) {
    if let Some((message, help)) = why_lost(path, behind) {
        field.report(Gravity::Warns, codes::NEVER_MATCHES, message, help);
    }
}

/// Warns of a path that is compared as it is written, though it looks like an expression; `instead` is what to write.
pub(crate) fn warn_of_pattern(field: &Cursor<'_>, path: &str, instead: &str) {
    if !looks_like_pattern(path) {
        return;
    }
    let message = format!("`{path}` looks like an expression, but is compared as it is written");
    field.report(Gravity::Warns, codes::BAD_VALUE, message, instead);
}

/// Parentheses and `$` alone stand in paths that are meant, as OData's.
fn looks_like_pattern(path: &str) -> bool {
    path.contains(['*', '[', '{', '^', '|', '\\']) || path.contains("(.") || path.ends_with('$')
}

/// What is wrong with a path that no request has, and what to do; `None` for one that some can have.
pub(crate) fn why_lost(path: &str, behind: Behind) -> Option<(String, String)> {
    if path.contains('?') {
        let message = format!("paths are compared without their query, so `{path}` never fits");
        return Some((message, "write the path alone, and the query where it is asked for".into()));
    }
    // What begins with `/.` may go on as `/.well-known`.
    let whole = match behind {
        Behind::Nothing => path.to_owned(),
        Behind::Anything => format!("{path}x"),
    };
    if let Ok(canonical) = canonical_target(whole.as_bytes(), HeadRules::SAFEST)
        && *canonical == *whole.as_bytes()
    {
        return None;
    }
    Some(match canonical_target(whole.as_bytes(), HeadRules::ISTIO) {
        Err(error) => {
            let help = "write it as requests have it; other bytes are escaped, as in `/caf%C3%A9`";
            (format!("no request has the path `{path}`: {error}"), help.to_owned())
        }
        Ok(canonical) if *canonical == *whole.as_bytes() => {
            let message = format!("no request has the path `{path}` in its canonical form");
            let help = "write it with single slashes and without `%2F`, unless an EdgePolicy or `--compat istio` keeps them";
            (message, help.to_owned())
        }
        Ok(canonical) => {
            let canonical = String::from_utf8_lossy(&canonical);
            let shown = match behind {
                Behind::Nothing => &*canonical,
                Behind::Anything => canonical.strip_suffix('x').unwrap_or(&canonical),
            };
            let message =
                format!("requests have `{shown}` in the place of `{path}`, their canonical form");
            (message, format!("write `{shown}`"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_request_has_is_said_with_what_it_has() {
        let lost = |path: &str, behind| {
            why_lost(path, behind).map(|(message, help)| message + "; " + &help)
        };
        for path in ["/", "/a", "/a/", "/.well-known", "/caf%C3%A9", "/a;b=c", "/$metadata"] {
            assert_eq!(lost(path, Behind::Nothing), None, "{path}");
            assert_eq!(lost(path, Behind::Anything), None, "{path}");
        }
        assert_eq!(lost("/a/.", Behind::Anything), None);
        let says = |path: &str, part: &str| {
            for behind in [Behind::Nothing, Behind::Anything] {
                let said = lost(path, behind).unwrap_or_default();
                assert!(said.contains(part), "{path}: {said}");
            }
        };
        says("/a?b=c", "without their query");
        says("/a#b", "`#` is refused");
        says("/café", "has to be escaped");
        says("/a b", "has to be escaped");
        says("/caf%c3%a9", "write `/caf%C3%A9`");
        says("/%61", "write `/a`");
        says("/a/./b", "write `/a/b`");
        says("/a//b", "EdgePolicy");
        says("/a%2Fb", "EdgePolicy");
    }

    #[test]
    fn expressions_are_told_from_odd_paths() {
        for path in ["/a.*", "/users/{id}", "/[0-9]+", "/a|b", "^/a", "/a$", "/a(.+)", "/a/*"] {
            assert!(looks_like_pattern(path), "{path}");
        }
        for path in ["/$metadata", "/users('x')", "/a.b", "/a+b", "/~me", "/a.(x)"] {
            assert!(!looks_like_pattern(path), "{path}");
        }
    }
}
