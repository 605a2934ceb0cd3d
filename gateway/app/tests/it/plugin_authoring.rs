//! The author's loop: every template and every example is begun, built, and passes its suite here and in a real Envoy. What
//! authors hear of what is wrong: `refusals`.

mod refusals;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::envoy::process;
use crate::gateway::binary;
use crate::guests::guest;

/// Of every template and example in Rust, in bytes.
const LARGEST: u64 = 250 << 10;
/// Of the template `blank`.
const SMALLEST: u64 = 60 << 10;

/// `portcullis plugin …` in a folder. What it compiles of the SDK and the standard library, it shares with the others.
fn plugin<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(binary());
    command.arg("plugin").args(arguments).current_dir(folder);
    command.env("CARGO_TARGET_DIR", shared()).output().unwrap()
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("authoring")
}

/// All that was printed, for whoever reads why a test failed.
fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn succeed(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// The suite of this folder passes as it is served, as Envoy would have it, and in Envoy.
fn passes_everywhere(folder: &Path, module: &Path) {
    let envoy = process::binary();
    let stands: [&[&OsStr]; 3] =
        [&[], &["--envoy-strict".as_ref()], &["--envoy".as_ref(), envoy.as_ref()]];
    for stand in stands {
        let arguments = ["test".as_ref(), "--module".as_ref(), module.as_os_str()];
        let said = succeed(plugin(folder, arguments.iter().chain(stand)));
        assert!(said.contains(" 0 failed"), "{stand:?}: {said}");
    }
}

/// A project that was begun in a directory of its own.
fn begin(name: &str, template: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    succeed(plugin(directory.path(), ["new", name, "--template", template]));
    let folder = directory.path().join(name);
    (directory, folder)
}

/// Builds it, and runs its unit tests and its suite; the answer is the module's size in bytes.
fn prove(folder: &Path, name: &str) -> u64 {
    succeed(plugin(folder, ["build"]));
    let mut tests = Command::new("cargo");
    tests.args(["test", "--quiet"]).current_dir(folder).env("CARGO_TARGET_DIR", shared());
    succeed(tests.output().unwrap());
    let module = folder.join(format!("target/portcullis/{name}.wasm"));
    passes_everywhere(folder, &module);
    module.metadata().unwrap().len()
}

fn prove_template(template: &str) -> u64 {
    let name = format!("my-{template}");
    let (_directory, folder) = begin(&name, template);
    let size = prove(&folder, &name);
    assert!(size <= LARGEST, "{name}: {size} bytes");
    size
}

#[test]
fn the_template_blank_is_small_and_runs_everywhere() {
    let size = prove_template("blank");
    assert!(size <= SMALLEST, "{size} bytes");
}

#[test]
fn the_template_header_runs_everywhere() {
    prove_template("header");
}

#[test]
fn the_template_auth_runs_everywhere() {
    prove_template("auth");
}

#[test]
fn the_template_body_runs_everywhere() {
    prove_template("body");
}

#[test]
fn the_template_callout_runs_everywhere() {
    prove_template("callout");
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").canonicalize().unwrap()
}

/// As the examples' README says: a new project, and the example's files in the place of the template's.
fn prove_example(name: &str) {
    let (_directory, folder) = begin(name, "blank");
    for file in ["src/lib.rs", "tests/suite.yaml", "plugin.yaml"] {
        std::fs::copy(examples().join(name).join(file), folder.join(file)).unwrap();
    }
    let size = prove(&folder, name);
    assert!(size <= LARGEST, "{name}: {size} bytes");
    let validated = Command::new(binary()).arg("validate").arg(folder.join("plugin.yaml")).output();
    succeed(validated.unwrap());
}

#[test]
fn the_example_claim_header_runs_everywhere() {
    prove_example("claim-header");
}

#[test]
fn the_example_maintenance_runs_everywhere() {
    prove_example("maintenance");
}

#[test]
fn the_example_digit_mask_runs_everywhere() {
    prove_example("digit-mask");
}

#[test]
fn the_example_blocklist_runs_everywhere() {
    prove_example("blocklist");
}

/// Compiled by `.ci/guests`.
fn foreign(name: &str) -> PathBuf {
    PathBuf::from(guest(name).strip_prefix("file://").unwrap())
}

#[test]
fn the_example_in_go_runs_everywhere() {
    passes_everywhere(&examples().join("go"), &foreign("deny-paths"));
}

#[test]
fn the_example_in_assemblyscript_runs_everywhere() {
    passes_everywhere(&examples().join("assemblyscript"), &foreign("robots"));
}

/// "Under 20 lines": what the README shows, without empty lines.
#[test]
fn a_header_for_a_claim_takes_less_than_twenty_lines() {
    let readme = std::fs::read_to_string(examples().join("claim-header/README.md")).unwrap();
    let shown = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(shown.len() < 20, "{} lines", shown.len());
    let source = std::fs::read_to_string(examples().join("claim-header/src/lib.rs")).unwrap();
    let mut source = source.lines();
    for line in shown {
        assert!(source.any(|known| known == line), "the source has no such line there: {line}");
    }
}
