//! Rewriting the path on the way to the upstream (Istio's `HTTPRewrite.uri`).

use http::uri::PathAndQuery;

use crate::Pattern;

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// This stands in the place of the prefix that the rule matched, or of the whole path where the rule matched exactly.
    Matched(Box<str>),
    /// This stands in the place of the whole path (Gateway API's `ReplaceFullPath`).
    Whole(Box<str>),
    /// What a part of the path that fits is replaced with (Istio's `uriRegexRewrite`).
    Pattern {
        /// What has to fit; every occurrence is replaced, as in Envoy.
        pattern: Pattern,
        /// `\\1` stands for what the first group holds, `\\0` for all that fits.
        substitution: Box<str>,
    },
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
            (PathRewrite::Matched(replacement), MatchedPath::Prefix(length)) => {
                (replacement, path.path().get(length..)?)
            }
            (PathRewrite::Matched(replacement), MatchedPath::Whole)
            | (PathRewrite::Whole(replacement), _) => (replacement, ""),
            (PathRewrite::Pattern { .. }, _) => return None,
        };
        let head = if replacement.ends_with('/') && rest.starts_with('/') {
            replacement.strip_suffix('/')?
        } else {
            replacement
        };
        let slash = if head.starts_with('/') || rest.starts_with('/') && head.is_empty() {
            ""
        } else {
            "/"
        };
        let rewritten = match path.query() {
            Some(query) => format!("{slash}{head}{rest}?{query}"),
            None => format!("{slash}{head}{rest}"),
        };
        PathAndQuery::try_from(rewritten).ok()
    }
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
    fn an_exact_match_is_replaced_whole() {
        assert_eq!(rewrite("/new", "/old?x", MatchedPath::Whole), "/new?x");
    }
}
