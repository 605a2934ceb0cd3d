//! The tutorial for authors of filters, executed as it is written: files, commands, what they say.

mod markdown;
mod terminal;

use std::path::{Path, PathBuf};

use markdown::{Block, blocks};
use terminal::{OtherTerminal, Terminal};

fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins");
    std::fs::read_to_string(docs.join(name)).unwrap()
}

/// Does what a page says from its first line to its last, in an empty directory.
fn follow(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::open(directory.path());
    let mut other: Option<OtherTerminal> = None;
    let mut said = String::new();
    for block in blocks(&page(name)) {
        let place = format!("docs/plugins/{name}:{}", block.line);
        match block.info.split_once(' ').unwrap_or((&block.info, "")) {
            ("sh", "") => said = terminal.run(&place, &block.text),
            ("sh", "other terminal") => {
                // What ran there ends first: it is one terminal.
                drop(other.take());
                other = Some(OtherTerminal::run(&place, &block.text, &mut terminal));
            }
            ("text", "") => compare(&place, &block, &said),
            ("text", "other terminal") => other
                .as_mut()
                .unwrap_or_else(|| panic!("{place}: nothing runs in another terminal"))
                .wait_for(&place, &block.text),
            ("rust" | "yaml" | "toml", path) if !path.is_empty() => {
                write(&terminal.folder().join(path), &block.text);
            }
            (kind, rest) => panic!("{place}: a block of `{kind} {rest}` is not executed"),
        }
    }
}

fn write(path: &PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn compare(place: &str, block: &Block, said: &str) {
    let expected: Vec<&str> = block.text.lines().collect();
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    assert!(
        markdown::lines_fit(&expected, &lines),
        "{place}: the page shows\n{}\nand it was\n{said}",
        block.text
    );
}

/// The examples of a page as the documentation tests of a crate that has nothing but the SDK.
fn compile_examples(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"pages\"\nedition = \"2024\"\n\n[dependencies]\nportcullis-sdk = {{ path = {:?} }}\n\n[workspace]\n",
        root.join("sdk/rust")
    );
    let source = format!(
        "#[cfg(doctest)]\n#[doc = include_str!({:?})]\nstruct Page;\n",
        root.join("docs/plugins").join(name)
    );
    write(&directory.path().join("Cargo.toml"), &manifest);
    write(&directory.path().join("src/lib.rs"), &source);
    std::fs::copy(root.join("sdk/rust/Cargo.lock"), directory.path().join("Cargo.lock")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO"));
    command.args(["test", "--doc"]).current_dir(directory.path());
    command.env("CARGO_TARGET_DIR", root.join("target/pages")).env_remove("RUSTFLAGS");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains(" 0 passed"), "{name}:\n{said}\n{why}");
}

#[test]
fn the_examples_of_the_pages_for_authors_compile_and_hold() {
    for page in ["writing-filters.md", "testing.md"] {
        compile_examples(page);
    }
}

#[test]
fn the_first_filter_is_written_tested_and_served_as_the_tutorial_says() {
    follow("first-filter.md");
}
