//! Paths under every set of [`HeadRules`].

use std::borrow::Cow;

use http::uri::PathAndQuery;
use proptest::prelude::*;

use crate::{
    Backslashes, Canonical, EscapedSlashes, HeadRules, PathError, Slashes, canonical_path,
    canonical_target,
};

const SAFEST: HeadRules = HeadRules::SAFEST;

fn canonical(target: &str, rules: HeadRules) -> Result<String, PathError> {
    let path = canonical_target(target.as_bytes(), rules)?;
    Ok(String::from_utf8(path.to_vec()).unwrap())
}

/// What each target becomes under these rules; a text in parentheses is the refusal's name.
fn expect(rules: HeadRules, cases: &[(&str, &str)]) {
    for (target, expected) in cases {
        let found = canonical(target, rules).unwrap_or_else(|error| format!("({})", error.code()));
        assert_eq!(found, *expected, "{target} by {rules:?}");
    }
}

#[test]
fn kept_slashes_stay_and_dot_segments_go() {
    let rules = HeadRules { slashes: Slashes::Kept, ..SAFEST };
    expect(
        rules,
        &[
            ("//", "//"),
            ("//a///b//?c//d", "//a///b//?c//d"),
            // RFC 3986 section 5.2.4: what `..` takes away may be empty.
            ("/a//../b", "/a/b"),
            ("/a//b/../c", "/a//c"),
            ("/.//a", "//a"),
            ("/../..//a", "//a"),
            ("/a//.", "/a//"),
            ("/%41//b", "/A//b"),
            ("/a%2Fb", "(path_escape_refused)"),
            ("/a\\b", "(path_backslash_refused)"),
        ],
    );
    let untouched = canonical_target(b"//a//b", rules);
    assert!(matches!(untouched, Ok(Cow::Borrowed(_))));
}

#[test]
fn kept_escaped_slashes_hide_no_dot_segment() {
    let rules = HeadRules { escaped_slashes: EscapedSlashes::Kept, ..SAFEST };
    expect(
        rules,
        &[
            ("/group%2Fproject/x", "/group%2Fproject/x"),
            ("/group%2fproject//x", "/group%2Fproject/x"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%2F.b/..c%2F...", "/a%2F.b/..c%2F..."),
            ("/a%2F/../b", "/b"),
            ("/a%2F%2Fb", "/a%2F%2Fb"),
            ("/a?..%2F", "/a?..%2F"),
            // One decoding later these would be dot segments.
            ("/..%2Fb", "(path_escape_refused)"),
            ("/a/..%2fb", "(path_escape_refused)"),
            ("/a/%2e%2e%2Fb", "(path_escape_refused)"),
            ("/a%2F..", "(path_escape_refused)"),
            ("/a%2F../b", "(path_escape_refused)"),
            ("/a%2F..%5Cb", "(path_escape_refused)"),
            ("/a%5C%2E/b", "(path_escape_refused)"),
            ("/a%2F..;x/b", "(path_dot_segment_parameter)"),
            ("/a%2F.%3bx/b", "(path_dot_segment_parameter)"),
            // Nobody means these.
            ("/a%00", "(path_escape_refused)"),
            ("/a%2", "(path_escape_malformed)"),
            ("/a\\b", "(path_backslash_refused)"),
        ],
    );
    let untouched = canonical_target(b"/a%2Fb", rules);
    assert!(matches!(untouched, Ok(Cow::Borrowed(_))));
}

#[test]
fn backslashes_become_slashes_before_all_else() {
    let rules = HeadRules { backslashes: Backslashes::ToSlash, ..SAFEST };
    expect(
        rules,
        &[
            ("/a\\b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("/a/..\\..\\b", "/b"),
            ("/\\a", "/a"),
            ("/a\\", "/a/"),
            ("/a\\.;b", "(path_dot_segment_parameter)"),
            ("/a?b\\c", "/a?b\\c"),
            ("\\a", "(path_not_absolute)"),
            ("/a%5Cb", "(path_escape_refused)"),
        ],
    );
    let kept = HeadRules { slashes: Slashes::Kept, ..rules };
    expect(kept, &[("/\\a", "//a"), ("/a\\\\b", "/a//b")]);
}

#[test]
fn istio_is_base() {
    expect(
        HeadRules::ISTIO,
        &[
            ("/a//b%2fc\\d/../e", "/a//b%2Fc/e"),
            ("/a/..%2Fb", "(path_escape_refused)"),
            ("/a/..;/b", "(path_dot_segment_parameter)"),
            ("/a b", "(path_byte_refused)"),
            ("/a#b", "(path_fragment_refused)"),
        ],
    );
}

fn rules() -> impl Strategy<Value = HeadRules> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(kept, escaped, backslashes)| {
        HeadRules {
            slashes: if kept { Slashes::Kept } else { Slashes::Merged },
            escaped_slashes: match escaped {
                true => EscapedSlashes::Kept,
                false => EscapedSlashes::Refused,
            },
            backslashes: match backslashes {
                true => Backslashes::ToSlash,
                false => Backslashes::Refused,
            },
            ..SAFEST
        }
    })
}

/// Targets that are made of what the rules are about.
fn targets() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "//", ".", "..", ";", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "%3b", "%3B", "%41",
        "%e9", "%25", "%", "2", "F", "a", "b", "?", "\\", "~",
    ]);
    prop::collection::vec(pieces, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// A server that takes the escapes for what they stand for, and backslashes for slashes.
fn segments_once_decoded(path: &str) -> Vec<String> {
    let decoded = path.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
    decoded.split('/').map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn canonical_is_idempotent_under_every_rule(target in targets(), rules in rules()) {
        if let Ok(once) = canonical_target(target.as_bytes(), rules) {
            let twice = canonical_target(&once, rules);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
            prop_assert!(matches!(twice, Ok(Cow::Borrowed(_))));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(target in prop::collection::vec(any::<u8>(), 0..64), rules in rules()) {
        let target = [b"/", &target[..]].concat();
        if let Ok(once) = canonical_target(&target, rules) {
            let twice = canonical_target(&once, rules);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
        }
    }

    /// Whatever is kept, no server finds a dot segment in it by decoding once.
    #[test]
    fn no_dot_segment_is_left(target in targets(), rules in rules()) {
        if let Ok(path) = canonical(&target, rules) {
            let path = path.split('?').next().unwrap();
            prop_assert!(!path.contains('\\'), "{}", path);
            for segment in segments_once_decoded(path) {
                let plain = segment.split(';').next().unwrap().split("%3B").next().unwrap();
                prop_assert!(plain != "." && plain != "..", "{}", path);
            }
        }
    }

    /// A laxer rule lets more through, and changes nothing for what the safest lets through.
    #[test]
    fn what_the_safest_takes_every_rule_takes(target in targets(), rules in rules()) {
        if let Ok(safest) = canonical(&target, SAFEST) {
            let found = canonical(&target, rules).unwrap();
            prop_assert_eq!(canonical(&found, SAFEST), Ok(safest.clone()));
            if rules.slashes == Slashes::Merged {
                prop_assert_eq!(found, safest);
            }
        }
    }

    #[test]
    fn a_changed_path_is_a_path(target in targets(), rules in rules()) {
        if let Ok(path) = PathAndQuery::try_from(target.as_str()) {
            let expected = canonical_target(path.as_str().as_bytes(), rules);
            match canonical_path(&path, rules) {
                Ok(Canonical::AsSent) => prop_assert_eq!(expected.unwrap(), path.as_str().as_bytes()),
                Ok(Canonical::Changed(changed)) => {
                    prop_assert_eq!(expected.unwrap(), changed.as_str().as_bytes());
                }
                Err(error) => prop_assert_eq!(expected.unwrap_err(), error),
            }
        }
    }
}
