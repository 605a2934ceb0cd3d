//! What the documentation names as proof exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Everything between two backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn source_of(module: &str) -> String {
    let tests = root().join("gateway/app/tests/it");
    let mut source =
        std::fs::read_to_string(tests.join(format!("{module}.rs"))).unwrap_or_default();
    for entry in std::fs::read_dir(tests.join(module)).into_iter().flatten() {
        source += &std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
    }
    source
}

#[test]
fn every_test_that_is_named_is_there() {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    for document in ["docs/security.md", "docs/faults.md"] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let mut named = 0;
        for (module, test) in quoted(&text).filter_map(|name| name.split_once("::")) {
            let source = source_of(module);
            if !is_name(module) || !is_name(test) || source.is_empty() {
                continue;
            }
            named += 1;
            let is_there = test.is_empty() || source.contains(&format!("fn {test}("));
            assert!(is_there, "{document} names {module}::{test}, which is not there");
        }
        assert!(named > 20, "{document} names {named} tests");
        for file in quoted(&text).filter(|name| name.ends_with(".rs")) {
            let places = ["gateway", ""].map(|place| root().join(place).join(file));
            assert!(places.iter().any(|place| place.is_file()), "{document} names {file}");
        }
    }
}
