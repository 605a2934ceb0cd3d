//! Every problem code is met by a test.

use std::path::{Path, PathBuf};

fn gateway() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything that tests are written in.
fn tests_of(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of(&path, text);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("codes.rs")
        {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let name = path.to_string_lossy();
        let is_test = ["/tests/", "/tests.rs", "_tests.rs", "_test.rs"]
            .iter()
            .any(|part| name.contains(part));
        let tests = match source.find("#[cfg(test)]") {
            _ if is_test => &source[..],
            Some(begin) => &source[begin..],
            None => "",
        };
        *text += tests;
    }
}

#[test]
fn every_problem_code_is_met_by_a_test() {
    let codes = std::fs::read_to_string(gateway().join("manifests/src/codes.rs")).unwrap();
    let codes = codes.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("pub const ")?.split_once(':')?;
        Some((name, rest.split('"').nth(1)?))
    });
    let mut tests = String::new();
    tests_of(&gateway(), &mut tests);
    let is_met = |(name, code): &(&str, &str)| {
        let word = |end: char| tests.contains(&format!("codes::{name}{end}"));
        tests.contains(code) || [',', ';', ')', ']', ' ', '\n', '}'].into_iter().any(word)
    };
    let codes: Vec<_> = codes.collect();
    assert!(codes.len() > 70, "{} codes", codes.len());
    let untested: Vec<_> = codes.iter().filter(|code| !is_met(code)).collect();
    assert!(untested.is_empty(), "no test meets {untested:?}");
}
