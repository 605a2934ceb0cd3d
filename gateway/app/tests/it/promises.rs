//! What the documentation names as proof exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Everything between two backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// A test's own name, where a module within its topic's is named too.
fn last_part(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}

/// What stands in a module of the integration tests, and in a room of this name.
fn source_of(module: &str) -> String {
    let tests = root().join("gateway/app/tests/it");
    let mut source =
        std::fs::read_to_string(tests.join(format!("{module}.rs"))).unwrap_or_default();
    append_sources(&tests.join(module), &mut source);
    append_sources(&root().join("gateway").join(module).join("src"), &mut source);
    source
}

fn append_sources(directory: &Path, source: &mut String) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_sources(&path, source);
        } else {
            *source += &std::fs::read_to_string(path).unwrap_or_default();
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    for document in [
        "docs/security.md",
        "docs/faults.md",
        "docs/compatibility.md",
        "docs/plugins/conformance.md",
    ] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let mut named = 0;
        for (module, test) in quoted(&text).filter_map(|name| name.split_once("::")) {
            let (source, test) = (source_of(module), last_part(test));
            if !is_name(module) || !is_name(test) || source.is_empty() {
                continue;
            }
            named += 1;
            // A test, all those of a module, or a module of a room.
            let is_there = test.is_empty()
                || [format!("fn {test}("), format!("mod {test};")]
                    .iter()
                    .any(|item| source.contains(item));
            assert!(is_there, "{document} names {module}::{test}, which is not there");
        }
        assert!(named > 20, "{document} names {named} tests");
        for file in quoted(&text).filter(|name| name.ends_with(".rs")) {
            let places = ["gateway", ""].map(|place| root().join(place).join(file));
            assert!(places.iter().any(|place| place.is_file()), "{document} names {file}");
        }
    }
}

const COMPATIBILITY: &str = "docs/compatibility.md";

#[test]
fn every_row_on_compatibility_names_a_test() {
    let text = std::fs::read_to_string(root().join(COMPATIBILITY)).unwrap();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let tests = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let named: Vec<_> = quoted(tests).filter_map(|name| name.split_once("::")).collect();
        assert!(!named.is_empty(), "no test is named in: {row}");
        for (module, test) in named {
            let is_there = source_of(module).contains(&format!("fn {}(", last_part(test)));
            assert!(is_there, "{COMPATIBILITY} names {module}::{test}, which is not there");
        }
    }
}

/// The fields that a schema in a manifest reader's source serves.
fn served_fields(source: &str) -> Vec<&str> {
    let lists = source.split("served: &[").skip(1);
    let lists = lists.filter_map(|rest| rest.split(']').next());
    lists.flat_map(|list| list.split('"').skip(1).step_by(2)).collect()
}

#[test]
fn every_field_of_istios_routes_and_upstreams_that_is_read_has_a_row() {
    let text = std::fs::read_to_string(root().join(COMPATIBILITY)).unwrap();
    let kinds = root().join("gateway/manifests/src/kinds");
    let words: Vec<&str> = quoted(&text)
        .flat_map(|quoted| quoted.split(['.', ':', '[', ']', ' ']))
        .filter(|word| !word.is_empty())
        .collect();
    let mut read = 0;
    for kind in [
        "connection_pool",
        "consistent_hash",
        "cors_policy",
        "delegate",
        "destination_rule",
        "destination_rule_tls",
        "endpoint_slice",
        "entry_endpoint",
        "fault_injection",
        "gateway",
        "http_rule",
        "jwt_rule",
        "load_balancer",
        "locality_setting",
        "outlier_detection",
        "request_authentication",
        "request_match",
        "rewrite",
        "route_action",
        "service",
        "service_entry",
        "tcp_rules",
        "traffic_policy",
        "virtual_service",
        "workload_selector",
    ] {
        let source = std::fs::read_to_string(kinds.join(format!("{kind}.rs"))).unwrap();
        for field in served_fields(&source) {
            read += 1;
            assert!(
                words.contains(&field),
                "{COMPATIBILITY} says nothing of `{field}` ({kind}.rs)"
            );
        }
    }
    assert!(read > 90, "{read} fields");
}
