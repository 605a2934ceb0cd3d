//! The house keeps its order: imports climb no floors, files stay short, modules form no circles, and
//! `unsafe` stays where it is allowed.

mod floors;
mod modules;
mod sources;
mod tokens;

use std::path::{Path, PathBuf};

/// Longer files are cut along a seam.
const MOST_LINES: usize = 600;

/// Where `unsafe` may stand, each with its reason.
const UNSAFE_ALLOWED: [&str; 3] = [
    // Loading machine code that was kept: wasmtime believes it.
    "gateway/wasm/src/machine_code.rs",
    // The Proxy-Wasm imports: calls across the sandbox's border.
    "sdk/rust/src/host/wasm.rs",
    "sdk/rust/src/host/wasm/calls.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn no_import_climbs() {
    let rooms = floors::read_rooms(&root());
    let climbing = floors::climbing_imports(&root(), &rooms);
    assert!(climbing.is_empty(), "a room imports only lower floors:\n{}", climbing.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let lengths =
        sources::rust_files(&root()).into_iter().map(|file| (sources::lines(&file), file));
    let long: Vec<_> = lengths.filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "files of more than {MOST_LINES} lines: {long:#?}");
}

#[test]
fn no_modules_form_a_circle() {
    let crates = sources::crates(&root());
    assert!(crates.len() > 10, "only {} crates were found", crates.len());
    let circles: Vec<_> = crates.iter().flat_map(|each| modules::circles(each)).collect();
    assert!(circles.is_empty(), "modules import each other:\n{}", circles.join("\n"));
}

#[test]
fn unsafe_stays_where_it_is_allowed() {
    let root = root();
    let allowed = UNSAFE_ALLOWED.map(|path| root.join(path));
    let mut found = sources::rust_files(&root);
    found.retain(|file| tokens::has_word(&tokens::read(file), "unsafe"));
    found.retain(|file| !allowed.contains(file));
    assert!(found.is_empty(), "`unsafe` in {found:#?}");
}
