//! Rewriting the path on the way to the upstream (Istio's `HTTPRewrite.uri`).

use http::uri::PathAndQuery;

use crate::Substitution;

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// This stands in the place of the prefix that the rule matched, or of the whole path where the rule matched exactly.
    Matched(Box<str>),
    /// The same, but byte for byte: what becomes of the joint is the writer's matter (`--compat istio`).
    Joined(Box<str>),
    /// This stands in the place of the whole path (Gateway API's `ReplaceFullPath`).
    Whole(Box<str>),
    /// Every part of the path that an expression fits is replaced (Istio's `uriRegexRewrite`).
    Pattern(Substitution),
}

/// What part of the path a rule matched, so what a rewrite replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedPath {
    /// So many bytes at the start; the one slash where the rule names no path.
    Prefix(usize),
    /// All of it.
    Whole,
}

impl PathRewrite {
    /// The rewritten path, its query kept; `None` where the result would be no path.
    ///
    /// Unlike Istio, a rewrite never leaves two slashes at the joint and adds none where neither side has
    /// one: `/foo` to `/` turns `/foo/bar` into `/bar`.
    pub fn apply(&self, path: &PathAndQuery, matched: MatchedPath) -> Option<PathAndQuery> {
        let (replacement, rest) = match (self, matched) {
            (PathRewrite::Pattern(substitution), _) => {
                return with_query(substitution.apply(path.path())?, path.query());
            }
            (
                PathRewrite::Matched(replacement) | PathRewrite::Joined(replacement),
                MatchedPath::Prefix(length),
            ) => (replacement, path.path().get(length..)?),
            (
                PathRewrite::Matched(replacement) | PathRewrite::Joined(replacement),
                MatchedPath::Whole,
            )
            | (PathRewrite::Whole(replacement), _) => (replacement, ""),
        };
        let is_mended = !matches!(self, PathRewrite::Joined(_));
        let head = if is_mended && replacement.ends_with('/') && rest.starts_with('/') {
            replacement.strip_suffix('/')?
        } else {
            replacement
        };
        let slash = if head.starts_with('/') || rest.starts_with('/') && head.is_empty() {
            ""
        } else {
            "/"
        };
        with_query(format!("{slash}{head}{rest}"), path.query())
    }
}

/// What the request gets in the place of its path. A replacement may bring a query of its own, which comes first; a `#`
/// would cut off what is behind it.
fn with_query(path: String, query: Option<&str>) -> Option<PathAndQuery> {
    let is_path = (path.starts_with('/') || path == "*") && !path.contains('#');
    let whole = match query {
        Some(query) if path.contains('?') => path + "&" + query,
        Some(query) => path + "?" + query,
        None => path,
    };
    is_path.then_some(whole).and_then(|whole| PathAndQuery::try_from(whole).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(replacement: &str, path: &str, matched: MatchedPath) -> String {
        let rewrite = PathRewrite::Matched(replacement.into());
        rewrite.apply(&path.parse().unwrap(), matched).unwrap().to_string()
    }

    #[test]
    fn the_prefix_is_replaced_and_the_query_kept() {
        assert_eq!(rewrite("/v2", "/v1/items?id=7", MatchedPath::Prefix(3)), "/v2/items?id=7");
        assert_eq!(rewrite("/dog", "/cattle", MatchedPath::Prefix(4)), "/dogtle");
    }

    #[test]
    fn the_joint_has_one_slash() {
        assert_eq!(rewrite("/", "/foo/bar", MatchedPath::Prefix(4)), "/bar");
        assert_eq!(rewrite("/x/", "/foo/bar", MatchedPath::Prefix(4)), "/x/bar");
        assert_eq!(rewrite("/", "/foo", MatchedPath::Prefix(4)), "/");
        assert_eq!(rewrite("", "/foo/bar", MatchedPath::Prefix(4)), "/bar");
        assert_eq!(rewrite("/v2", "/foo", MatchedPath::Prefix(1)), "/v2foo");
        assert_eq!(rewrite("/v2/", "/foo", MatchedPath::Prefix(1)), "/v2/foo");
        assert_eq!(rewrite("/v2", "*", MatchedPath::Prefix(1)), "/v2");
    }

    #[test]
    fn a_joint_may_be_left_as_it_is() {
        for (replacement, path, joined) in [
            ("/", "/foo/bar?a", "//bar?a"),
            ("/x/", "/foo/bar", "/x//bar"),
            ("/x", "/foobar", "/xbar"),
            ("/", "/foo", "/"),
        ] {
            let rewrite = PathRewrite::Joined(replacement.into());
            let found = rewrite.apply(&path.parse().unwrap(), MatchedPath::Prefix(4));
            assert_eq!(found.unwrap(), joined);
        }
    }

    #[test]
    fn an_exact_match_is_replaced_whole() {
        assert_eq!(rewrite("/new", "/old?x", MatchedPath::Whole), "/new?x");
    }

    #[test]
    fn the_whole_path_is_replaced_whatever_matched() {
        let rewrite = PathRewrite::Whole("/all".into());
        for matched in [MatchedPath::Whole, MatchedPath::Prefix(2)] {
            let path = rewrite.apply(&"/a/b?x=1".parse().unwrap(), matched);
            assert_eq!(path.unwrap(), "/all?x=1");
        }
    }

    #[test]
    fn a_pattern_sees_the_path_and_not_the_query() {
        let rewrite = |pattern, substitution, path: &str| {
            let substitution = Substitution::parse(pattern, substitution).unwrap();
            let rewrite = PathRewrite::Pattern(substitution);
            rewrite.apply(&path.parse().unwrap(), MatchedPath::Whole).map(|path| path.to_string())
        };
        assert_eq!(rewrite("/v1/(.*)", r"/v2/\1", "/v1/a?b=/v1/").unwrap(), "/v2/a?b=/v1/");
        assert_eq!(rewrite("a", "b?c", "/a?d").unwrap(), "/b?c&d");
        for (pattern, substitution) in [("/", ""), ("a", "#"), ("a", " "), ("^", "x")] {
            assert_eq!(rewrite(pattern, substitution, "/a"), None, "{pattern} {substitution}");
        }
    }
}
