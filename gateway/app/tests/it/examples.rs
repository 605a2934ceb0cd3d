//! Every example is a configuration that the gateway takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::binary;

/// The topmost directories that hold manifests; each is one configuration.
fn configurations(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    let entries: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Route tests are no manifests.
    let is_test = |path: &PathBuf| path.to_string_lossy().ends_with(".test.yaml");
    let is_manifest = |path: &&PathBuf| {
        !is_test(path)
            && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    // What a plugin's project applies waits for its module: `plugin_authoring` builds and validates it.
    let projects = entries.iter().any(|path| path.join("plugin.yaml").is_file());
    if projects {
        found.extend(entries.iter().filter(is_manifest).cloned());
        return;
    }
    if entries.iter().any(|path| is_manifest(&path)) {
        found.insert(directory.to_owned());
        return;
    }
    for inner in entries.iter().filter(|path| path.is_dir()) {
        configurations(inner, found);
    }
}

#[test]
fn every_example_is_valid() {
    let examples =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap();
    let mut found = BTreeSet::new();
    configurations(&examples, &mut found);
    assert!(!found.is_empty(), "no examples in {}", examples.display());
    for configuration in found {
        let output = Command::new(binary()).arg("validate").arg(&configuration).output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}:\n{report}", configuration.display());
    }
}

#[test]
fn the_quickstarts_route_tests_pass_and_reach_every_rule() {
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart");
    let mut command = Command::new(binary());
    command.args(["test", "--min-coverage", "100", "--config"]).arg(quickstart.join("config"));
    let output = command.arg(quickstart.join("routes.test.yaml")).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
}
