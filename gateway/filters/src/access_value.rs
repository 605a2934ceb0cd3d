//! Values of authorization policies: texts with a wildcard at one end, and templates of paths.

use http::HeaderValue;

/// A value as Istio writes it: `*`, `*suffix`, `prefix*`, or the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// `*`: it is there, and not empty.
    Present,
    /// Equal.
    Exact(Box<str>),
    /// `prefix*`
    Prefix(Box<str>),
    /// `*suffix`
    Suffix(Box<str>),
}

impl TextTest {
    /// Reads a value; any text is one.
    pub fn parse(text: &str) -> Self {
        if text == "*" {
            TextTest::Present
        } else if let Some(suffix) = text.strip_prefix('*') {
            TextTest::Suffix(suffix.into())
        } else if let Some(prefix) = text.strip_suffix('*') {
            TextTest::Prefix(prefix.into())
        } else {
            TextTest::Exact(text.into())
        }
    }

    /// Whether a text is such.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_bytes(text.as_bytes())
    }

    /// The same where upper and lower case (of ASCII) are one.
    pub fn matches_any_case(&self, text: &str) -> bool {
        let text = text.as_bytes();
        match self {
            TextTest::Present => !text.is_empty(),
            TextTest::Exact(wanted) => text.eq_ignore_ascii_case(wanted.as_bytes()),
            TextTest::Prefix(prefix) => text
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            TextTest::Suffix(suffix) => text
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| text.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }

    /// Whether the value of a header field is such, byte for byte. A field that is there may be empty.
    pub(crate) fn fits_field(&self, field: &HeaderValue) -> bool {
        *self == TextTest::Present || self.matches_bytes(field.as_bytes())
    }

    fn matches_bytes(&self, text: &[u8]) -> bool {
        match self {
            TextTest::Present => !text.is_empty(),
            TextTest::Exact(wanted) => wanted.as_bytes() == text,
            TextTest::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            TextTest::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
        }
    }
}

/// A value for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathTest {
    /// Without braces.
    Text(TextTest),
    /// With them.
    Template(PathTemplate),
}

/// `/shops/{*}/items/{**}`: `{*}` stands for one whole segment that is not empty, `{**}` for any number of them, and
/// is the last of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    /// What stands between the `{*}`; one more than there are of them.
    literals: Vec<Box<str>>,
    /// What stands behind `{**}`, where there is one.
    rest: Option<Box<str>>,
}

/// Why a value is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathTemplateError {
    /// A brace that is not of `{*}` or `{**}`, or a `*` outside of them.
    #[error("`{{`, `}}` and `*` can only stand there as `{{*}}` and `{{**}}`")]
    StrayBrace,
    /// `a{*}`, `{*}b`
    #[error("`{{*}}` and `{{**}}` stand for whole segments, so there is a `/` before and behind")]
    PartOfSegment,
    /// Something other than plain text behind `{**}`.
    #[error("no `{{*}}` or `{{**}}` can stand behind `{{**}}`")]
    NotLast,
}

impl PathTest {
    /// Reads a value.
    ///
    /// # Errors
    /// It has braces, but is no template.
    pub fn parse(text: &str) -> Result<Self, PathTemplateError> {
        if text.contains(['{', '}']) {
            PathTemplate::parse(text).map(PathTest::Template)
        } else {
            Ok(PathTest::Text(TextTest::parse(text)))
        }
    }

    /// Whether a path without its query is such.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathTest::Text(test) => test.matches(path),
            PathTest::Template(template) => template.matches(path),
        }
    }
}

impl PathTemplate {
    fn parse(text: &str) -> Result<Self, PathTemplateError> {
        let (before, rest) = match text.split_once("{**}") {
            Some((before, rest)) => (before, Some(rest)),
            None => (text, None),
        };
        if rest.is_some_and(|rest| rest.contains(['{', '}'])) {
            return Err(PathTemplateError::NotLast);
        }
        let literals: Vec<Box<str>> = before.split("{*}").map(Into::into).collect();
        if literals
            .iter()
            .map(|part| &**part)
            .chain(rest)
            .any(|part| part.contains(['{', '}', '*']))
        {
            return Err(PathTemplateError::StrayBrace);
        }
        let template = PathTemplate { literals, rest: rest.map(Into::into) };
        template.has_whole_segments().then_some(template).ok_or(PathTemplateError::PartOfSegment)
    }

    fn has_whole_segments(&self) -> bool {
        let pairs = self.literals.iter().zip(self.literals.iter().skip(1));
        let around_one = pairs.into_iter().enumerate().all(|(index, (before, behind))| {
            let is_end = index + 2 == self.literals.len() && self.rest.is_none();
            before.ends_with('/') && (behind.starts_with('/') || is_end && behind.is_empty())
        });
        let around_rest = self.rest.as_deref().is_none_or(|rest| {
            let before = self.literals.last().is_some_and(|literal| literal.ends_with('/'));
            before && (rest.is_empty() || rest.starts_with('/'))
        });
        around_one && around_rest
    }

    fn matches(&self, path: &str) -> bool {
        let mut literals = self.literals.iter();
        let first = literals.next().map_or("", |literal| literal);
        let Some(mut left) = path.strip_prefix(first) else { return false };
        for literal in literals {
            let end = left.find('/').unwrap_or(left.len());
            let Some((segment, behind)) = left.split_at_checked(end) else { return false };
            match behind.strip_prefix(&**literal) {
                Some(behind) if !segment.is_empty() => left = behind,
                _ => return false,
            }
        }
        match &self.rest {
            Some(rest) => left.ends_with(&**rest),
            None => left.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_one_end() {
        let fits = |value: &str, text: &str| TextTest::parse(value).matches(text);
        assert!(fits("abc", "abc") && !fits("abc", "abcd") && !fits("abc", "ABC"));
        assert!(fits("ab*", "abc") && fits("ab*", "ab") && !fits("ab*", "xab"));
        assert!(fits("*bc", "abc") && fits("*bc", "bc") && !fits("*bc", "bcx"));
        assert!(fits("*", "a") && !fits("*", ""));
        // As in Istio the first star counts.
        assert!(fits("*a*", "xa*") && !fits("*a*", "xax"));
        let fits = |value: &str, text: &str| TextTest::parse(value).matches_any_case(text);
        assert!(fits("*.Example", "a.eXample") && fits("ADMIN*", "admin.x") && fits("A", "a"));
        assert!(!fits("*.example", "example") && !fits("admin*", "adm") && !fits("*", ""));
    }

    #[test]
    fn a_template_takes_whole_segments() {
        let fits = |value: &str, path: &str| PathTest::parse(value).unwrap().matches(path);
        for (value, yes, no) in [
            ("/foo/{*}", &["/foo/bar"][..], &["/foo", "/foo/", "/foo/bar/", "/foo/bar/baz"][..]),
            ("/foo/{**}/", &["/foo/bar/", "/foo/a/b/", "/foo//"], &["/foo/bar", "/foo/", "/foo"]),
            ("/foo/{**}", &["/foo/", "/foo/bar", "/foo/a/b/"], &["/foo", "/fooo/x"]),
            ("/{*}/bar/", &["/foo/bar/"], &["/bar/", "/foo/foo/bar/", "//bar/"]),
            ("/a/{*}/b/{**}/c", &["/a/x/b/c/c", "/a/x/b//c"], &["/a/x/b/c", "/a/x/y/b/z/c"]),
            ("/{**}", &["/", "/x/y"], &[""]),
            ("/{*}/{*}", &["/a/b"], &["/a", "/a/", "/a/b/c"]),
        ] {
            for path in yes {
                assert!(fits(value, path), "{value} {path}");
            }
            for path in no {
                assert!(!fits(value, path), "{value} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        use PathTemplateError as Error;
        for (value, error) in [
            ("/foo/{a}", Error::StrayBrace),
            ("/foo/{*}*", Error::StrayBrace),
            ("/foo/{*", Error::StrayBrace),
            ("/foo/{***}", Error::StrayBrace),
            ("/foo{*}", Error::PartOfSegment),
            ("/{*}foo", Error::PartOfSegment),
            ("/{*}{*}", Error::PartOfSegment),
            ("/foo{**}", Error::PartOfSegment),
            ("/{*}{**}", Error::PartOfSegment),
            ("/{**}foo", Error::PartOfSegment),
            ("/{**}/{*}", Error::NotLast),
            ("/{**}/{**}", Error::NotLast),
        ] {
            assert_eq!(PathTest::parse(value), Err(error), "{value}");
        }
    }
}
