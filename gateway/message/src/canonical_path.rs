//! Paths: one canonical form, so that route, plugin, log and upstream can never read one differently.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;

use crate::head_rules::{Backslashes, EscapedSlashes, HeadRules, Slashes};

/// A path and query in their canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canonical {
    /// It was canonical as it came.
    AsSent,
    /// What it is in canonical form.
    Changed(PathAndQuery),
}

/// Why a path has no canonical form, or none that is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`, or is `*` for another method than OPTIONS.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// `%2F`, `%5C` or `%00`: some servers take them for what they stand for, others do not. Where the first two are
    /// kept, a dot segment beside one is refused still.
    #[error("`%2F`, `%5C` and `%00` are refused in a path")]
    EscapedSeparator,
    /// A `%` without two hexadecimal digits.
    #[error("a `%` in a path is followed by two hexadecimal digits")]
    BrokenEscape,
    /// `\`, which some servers take for a slash.
    #[error("`\\` is refused in a path")]
    Backslash,
    /// `.;` or `..;a=b`: some servers cut the parameter off and find a dot segment.
    #[error("a dot segment with a parameter, as in `/..;/`, is refused")]
    DotSegmentParameter,
    /// A fragment, which is never sent.
    #[error("`#` is refused in a path")]
    Fragment,
    /// A blank, a control byte, a byte outside ASCII or one that only stands in a path escaped.
    #[error("a path has a byte that has to be escaped")]
    Byte,
    /// The same in the query.
    #[error("the query has a byte that has to be escaped")]
    QueryByte,
}

/// The canonical form of a path (RFC 3986 section 6.2.2): dot segments removed, escapes of unreserved
/// characters decoded and all others in upper case, repeated slashes merged unless the rules keep them. The query
/// stays as it is.
///
/// One pass and no allocation where it is canonical already. Idempotent under every set of rules.
///
/// # Errors
/// It could be read in more than one way, or is no path. `*` passes; whether it may stand is the method's
/// matter, see [`canonical_path_for`].
pub fn canonical_path(path: &PathAndQuery, rules: HeadRules) -> Result<Canonical, PathError> {
    match canonical_target(path.as_str().as_bytes(), rules)? {
        Cow::Borrowed(_) => Ok(Canonical::AsSent),
        Cow::Owned(changed) => PathAndQuery::from_maybe_shared(Bytes::from(changed))
            .map(Canonical::Changed)
            .map_err(|_| PathError::Byte),
    }
}

/// As [`canonical_path`], for a request with this method: `*` is OPTIONS's alone.
///
/// # Errors
/// As [`canonical_path`], and `*` for another method.
pub fn canonical_path_for(
    method: &Method,
    path: &PathAndQuery,
    rules: HeadRules,
) -> Result<Canonical, PathError> {
    if path.as_str() == "*" && *method != Method::OPTIONS {
        return Err(PathError::NotAbsolute);
    }
    canonical_path(path, rules)
}

/// As [`canonical_path`], on the bytes of a request target in origin-form.
///
/// # Errors
/// As [`canonical_path`].
pub fn canonical_target(target: &[u8], rules: HeadRules) -> Result<Cow<'_, [u8]>, PathError> {
    let (form, length) = match target {
        b"*" => return Ok(Cow::Borrowed(target)),
        [] | [b'?', ..] => (Form::Differs, 0),
        [b'/', ..] => scan(target, rules)?,
        [b'#', ..] => return Err(PathError::Fragment),
        _ => return Err(PathError::NotAbsolute),
    };
    let (path, query) = target.split_at_checked(length).unwrap_or((target, b""));
    check_query(query)?;
    match form {
        Form::Canonical => Ok(Cow::Borrowed(target)),
        Form::EscapedSlashes => {
            path.split(|byte| *byte == b'/').try_for_each(check_escaped_slashes)?;
            Ok(Cow::Borrowed(target))
        }
        Form::Differs => {
            let mut changed = rebuild(path, rules)?;
            changed.extend_from_slice(query);
            Ok(Cow::Owned(changed))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Canonical,
    /// Canonical, but for what stands beside escaped slashes, which is to be looked at.
    EscapedSlashes,
    Differs,
}

/// Whether a path is canonical, and where it ends.
fn scan(target: &[u8], rules: HeadRules) -> Result<(Form, usize), PathError> {
    let mut form = Form::Canonical;
    let mut rest = target;
    // Most bytes of most paths are plain, so they are passed by quickly.
    while let Some(plain) = rest.iter().position(|byte| !is_plain(*byte)) {
        let Some([byte, after @ ..]) = rest.get(plain..) else { break };
        match byte {
            b'?' => return Ok((form, target.len() - after.len() - 1)),
            b'/' if may_be_removed(after, rules.slashes) => form = Form::Differs,
            b'/' => {}
            b'%' => match read_escape(after, rules.escaped_slashes)? {
                Escape::Kept => {}
                Escape::Slash if form == Form::Canonical => form = Form::EscapedSlashes,
                Escape::Slash => {}
                Escape::Raised(..) | Escape::Decoded(_) => form = Form::Differs,
            },
            b'\\' if rules.backslashes == Backslashes::ToSlash => form = Form::Differs,
            b'\\' => return Err(PathError::Backslash),
            b'#' => return Err(PathError::Fragment),
            _ => return Err(PathError::Byte),
        }
        rest = after;
    }
    Ok((form, target.len()))
}

/// Whether what follows a slash is another one that is merged with it, or may be a dot segment.
fn may_be_removed(after: &[u8], slashes: Slashes) -> bool {
    let (b"." | b"..", rest) = split_dots(after) else {
        return after.first() == Some(&b'/') && slashes == Slashes::Merged;
    };
    matches!(rest, [] | [b'/' | b'?' | b';', ..] | [b'%', b'3', b'b' | b'B', ..])
}

/// Up to two leading dots, and what follows.
fn split_dots(segment: &[u8]) -> (&[u8], &[u8]) {
    let dots = segment.iter().take(2).take_while(|byte| **byte == b'.').count();
    segment.split_at_checked(dots).unwrap_or((segment, b""))
}

/// Bytes that mean nothing in a path: as `http` accepts them, and browsers send them, RFC 3986's and `"`, `[`, `]`,
/// `^`, `{`, `|`, `}`.
#[allow(clippy::indexing_slicing, reason = "the compiler makes the table, and would stop")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = matches!(byte as u8, 0x21..=0x3B | b'=' | 0x40..=0x5F | 0x61..=0x7E)
            && !matches!(byte as u8, b'#' | b'%' | b'/' | b'\\');
        byte += 1;
    }
    plain
};

fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).is_some_and(|plain| *plain)
}

fn check_query(query: &[u8]) -> Result<(), PathError> {
    let is_good = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    // Without a way out in the middle, so that several bytes are looked at together.
    if query.iter().fold(true, |good, byte| good & is_good(byte)) {
        return Ok(());
    }
    match query.iter().find(|byte| !is_good(byte)) {
        Some(b'#') => Err(PathError::Fragment),
        _ => Err(PathError::QueryByte),
    }
}

/// What becomes of an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// It stays as it is.
    Kept,
    /// The same: `%2F` or `%5C`.
    Slash,
    /// It stays, its digits in upper case.
    Raised(u8, u8),
    /// It stands for a character that needs none.
    Decoded(u8),
}

/// Reads the two digits after a `%`.
fn read_escape(after: &[u8], slashes: EscapedSlashes) -> Result<Escape, PathError> {
    let [high, low, ..] = after else { return Err(PathError::BrokenEscape) };
    let byte = (digit(*high)? << 4) | digit(*low)?;
    match byte {
        b'/' | b'\\' | 0 if byte == 0 || slashes == EscapedSlashes::Refused => {
            Err(PathError::EscapedSeparator)
        }
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            Ok(Escape::Decoded(byte))
        }
        _ if high.is_ascii_lowercase() || low.is_ascii_lowercase() => {
            Ok(Escape::Raised(high.to_ascii_uppercase(), low.to_ascii_uppercase()))
        }
        b'/' | b'\\' => Ok(Escape::Slash),
        _ => Ok(Escape::Kept),
    }
}

fn digit(byte: u8) -> Result<u8, PathError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(PathError::BrokenEscape),
    }
}

/// Writes a path that [`scan`] let through in its canonical form. Dot segments go before slashes are merged, as
/// browsers and Envoy do it: `/a//../b` is `/a/b`.
fn rebuild(path: &[u8], rules: HeadRules) -> Result<Vec<u8>, PathError> {
    let mut out = Vec::with_capacity(path.len() + 1);
    // A backslash is here only where it is to become a slash.
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(is_slash).peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push(b'/');
        push_decoded(&mut out, segment, rules.escaped_slashes)?;
        let decoded = out.get(start + 1..).unwrap_or_default();
        if rules.escaped_slashes == EscapedSlashes::Kept {
            check_escaped_slashes(decoded)?;
        }
        match dot_segment(decoded)? {
            DotSegment::None => continue,
            DotSegment::Current => out.truncate(start),
            DotSegment::Parent => {
                out.truncate(start);
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    if rules.slashes == Slashes::Merged {
        out.dedup_by(|byte, before| (*byte, *before) == (b'/', b'/'));
    }
    Ok(out)
}

/// A server that takes `%2F` or `%5C` for a slash would find a dot segment beside it.
fn check_escaped_slashes(segment: &[u8]) -> Result<(), PathError> {
    let mut rest = segment;
    let mut pieces = 0;
    while let Some(length) = rest.windows(3).position(|escape| matches!(escape, b"%2F" | b"%5C")) {
        pieces += 1;
        check_piece(rest.get(..length).unwrap_or_default())?;
        rest = rest.get(length + 3..).unwrap_or_default();
    }
    if pieces == 0 { Ok(()) } else { check_piece(rest) }
}

fn check_piece(piece: &[u8]) -> Result<(), PathError> {
    match dot_segment(piece)? {
        DotSegment::None => Ok(()),
        DotSegment::Current | DotSegment::Parent => Err(PathError::EscapedSeparator),
    }
}

fn push_decoded(
    out: &mut Vec<u8>,
    segment: &[u8],
    slashes: EscapedSlashes,
) -> Result<(), PathError> {
    let mut rest = segment;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        match read_escape(after, slashes)? {
            Escape::Kept | Escape::Slash => out.push(b'%'),
            Escape::Raised(high, low) => {
                out.extend_from_slice(&[b'%', high, low]);
                rest = after.get(2..).unwrap_or_default();
            }
            Escape::Decoded(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
        }
    }
    Ok(())
}

enum DotSegment {
    None,
    Current,
    Parent,
}

fn dot_segment(segment: &[u8]) -> Result<DotSegment, PathError> {
    let (dots, rest) = split_dots(segment);
    let found = match dots {
        b"." => DotSegment::Current,
        b".." => DotSegment::Parent,
        _ => return Ok(DotSegment::None),
    };
    match rest {
        [] => Ok(found),
        [b';', ..] | [b'%', b'3', b'B', ..] => Err(PathError::DotSegmentParameter),
        _ => Ok(DotSegment::None),
    }
}

impl PathError {
    /// The rule's name, for the access log.
    pub fn code(self) -> &'static str {
        match self {
            PathError::NotAbsolute => "path_not_absolute",
            PathError::EscapedSeparator => "path_escape_refused",
            PathError::BrokenEscape => "path_escape_malformed",
            PathError::Backslash => "path_backslash_refused",
            PathError::DotSegmentParameter => "path_dot_segment_parameter",
            PathError::Fragment => "path_fragment_refused",
            PathError::Byte => "path_byte_refused",
            PathError::QueryByte => "query_byte_refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAFEST: HeadRules = HeadRules::SAFEST;

    fn canonical(target: &str) -> Result<String, PathError> {
        canonical_target(target.as_bytes(), SAFEST)
            .map(|path| String::from_utf8(path.to_vec()).unwrap())
    }

    #[test]
    fn what_is_canonical_stays_and_is_borrowed() {
        for target in [
            "/",
            "/a/b/",
            "/.well-known/x",
            "/a.b/..c/.../.%E9",
            "/a%20b%3Bc%25",
            "/a;b=c/d",
            "/!$&'()*+,=:@~-_\"[]^{|}",
            "/a?b/../%2f//\\?c%",
            "*",
        ] {
            let path = canonical_target(target.as_bytes(), SAFEST);
            assert_eq!(path, Ok(Cow::Borrowed(target.as_bytes())));
            assert!(matches!(path, Ok(Cow::Borrowed(_))), "{target}");
            assert_eq!(canonical_path(&target.parse().unwrap(), SAFEST), Ok(Canonical::AsSent));
        }
    }

    #[test]
    fn what_differs_is_rewritten() {
        for (target, expected) in [
            ("", "/"),
            ("?a", "/?a"),
            // Dot segments: RFC 3986 section 5.2.4.
            ("/a/b/c/./../../g", "/a/g"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/../b?c/../d", "/b?c/../d"),
            ("/a/.?b", "/a/?b"),
            ("/a//../b", "/a/b"),
            ("/../..", "/"),
            // Escaped ones.
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%2e/b", "/b"),
            // Escapes.
            ("/%41%7e%2D%5f%2Ea", "/A~-_.a"),
            ("/%c3%aF%3b", "/%C3%AF%3B"),
            ("/%252e%252e/a%2e", "/%252e%252e/a."),
            // Slashes.
            ("//", "/"),
            ("//a///b//?c//d", "/a/b/?c//d"),
            ("//evil.example/a", "/evil.example/a"),
        ] {
            assert_eq!(canonical(target).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn what_could_be_read_differently_is_refused() {
        for (target, error) in [
            ("a", PathError::NotAbsolute),
            ("*a", PathError::NotAbsolute),
            ("/a%2fb", PathError::EscapedSeparator),
            ("/a%2Fb", PathError::EscapedSeparator),
            ("/a%5cb", PathError::EscapedSeparator),
            ("/a%00", PathError::EscapedSeparator),
            ("/%2e%2e%2fa", PathError::EscapedSeparator),
            ("/a\\b", PathError::Backslash),
            ("/a/..\\b", PathError::Backslash),
            ("/.;/a", PathError::DotSegmentParameter),
            ("/a/..;/b", PathError::DotSegmentParameter),
            ("/a/..;a=b", PathError::DotSegmentParameter),
            ("/a/..;a=b?c", PathError::DotSegmentParameter),
            ("/a/%2e%2e;a=b/c", PathError::DotSegmentParameter),
            ("/a/..%3b/c", PathError::DotSegmentParameter),
            ("/a/.%2E%3Ba/c", PathError::DotSegmentParameter),
            ("/a%", PathError::BrokenEscape),
            ("/a%2", PathError::BrokenEscape),
            ("/a%2/b", PathError::BrokenEscape),
            ("/a%zz", PathError::BrokenEscape),
            ("/a%2?b", PathError::BrokenEscape),
            ("/a#b", PathError::Fragment),
            ("#b", PathError::Fragment),
            ("/a?b#c", PathError::Fragment),
            ("/\u{e9}", PathError::Byte),
            ("/a b", PathError::Byte),
            ("/a\tb", PathError::Byte),
            ("/a\0", PathError::Byte),
            ("/a\x7f", PathError::Byte),
            ("/<a>", PathError::Byte),
            ("/a?b c", PathError::QueryByte),
            ("/a?\r\n", PathError::QueryByte),
            ("/a?\0", PathError::QueryByte),
            ("/a?\u{e9}", PathError::QueryByte),
        ] {
            assert_eq!(canonical(target), Err(error), "{target:?}");
        }
    }

    #[test]
    fn a_star_is_for_options_alone() {
        let star = PathAndQuery::from_static("*");
        assert_eq!(canonical_path_for(&Method::OPTIONS, &star, SAFEST), Ok(Canonical::AsSent));
        assert_eq!(canonical_path_for(&Method::GET, &star, SAFEST), Err(PathError::NotAbsolute));
    }

    /// Targets that are made of what the rules are about.
    fn targets() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/", "//", ".", "..", ";", "%2e", "%2E", "%2f", "%3b", "%3B", "%41", "%e9", "%", "2",
            "a", "b", "?", "\\", "#", "é", " ", "~",
        ]);
        prop::collection::vec(pieces, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    fn check(target: &[u8]) {
        let Ok(once) = canonical_target(target, SAFEST) else { return };
        let twice = canonical_target(&once, SAFEST).unwrap();
        assert_eq!(twice, once);
        assert!(matches!(twice, Cow::Borrowed(_)));
        if *once != *b"*" {
            let path = once.split(|byte| *byte == b'?').next().unwrap();
            assert_eq!(path.first(), Some(&b'/'));
            let path = std::str::from_utf8(path).unwrap();
            assert!(!path.contains("//") && !path.contains('\\'), "{path}");
            let mut segments = path.split('/');
            assert!(segments.all(|segment| segment != "." && segment != ".."), "{path}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent(target in targets()) {
            check(target.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(target in prop::collection::vec(any::<u8>(), 0..64)) {
            check(&target);
            check(&[b"/", &target[..]].concat());
        }

        /// What `http` takes for a path is either refused or comes out as one.
        #[test]
        fn a_changed_path_is_a_path(target in targets()) {
            if let Ok(path) = PathAndQuery::try_from(target.as_str()) {
                let expected = canonical_target(path.as_str().as_bytes(), SAFEST);
                match canonical_path(&path, SAFEST) {
                    Ok(Canonical::AsSent) => prop_assert_eq!(expected.unwrap(), path.as_str().as_bytes()),
                    Ok(Canonical::Changed(changed)) => {
                        prop_assert_eq!(expected.unwrap(), changed.as_str().as_bytes());
                    }
                    Err(error) => prop_assert_eq!(expected.unwrap_err(), error),
                }
            }
        }

        /// The canonical form is what a naive reader makes of the decoded path, segment by segment.
        #[test]
        fn it_agrees_with_a_naive_reader(segments in prop::collection::vec("(\\.|\\.\\.|%2e|%2E%2e|[a-c%]{0}|[a-c.]{1,3})", 0..8)) {
            let target = format!("/{}", segments.join("/"));
            let mut kept: Vec<&str> = Vec::new();
            let decoded: Vec<String> = segments.iter().map(|segment| segment.replace("%2e", ".").replace("%2E", ".")).collect();
            let mut ends_open = decoded.is_empty();
            for segment in &decoded {
                ends_open = true;
                match segment.as_str() {
                    "." => {}
                    ".." => drop(kept.pop()),
                    segment => { kept.push(segment); ends_open = segment.is_empty(); }
                }
            }
            let kept: Vec<&str> = kept.into_iter().filter(|segment| !segment.is_empty()).collect();
            let mut expected = format!("/{}", kept.join("/"));
            if ends_open && expected != "/" { expected.push('/'); }
            prop_assert_eq!(canonical(&target).unwrap(), expected);
        }
    }
}
