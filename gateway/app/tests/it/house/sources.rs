//! The repository's own Rust files.

use std::path::{Path, PathBuf};

/// The directories with code of ours.
const PLACES: [&str; 5] = ["gateway", "plugins", "sdk", "examples", "benches"];

/// Every Rust file, sorted.
pub fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for place in PLACES {
        walk(&root.join(place), &mut |file| {
            if file.extension().is_some_and(|extension| extension == "rs") {
                files.push(file.to_owned());
            }
        });
    }
    files.sort();
    files
}

/// The directory of every crate, sorted.
pub fn crates(root: &Path) -> Vec<PathBuf> {
    let mut crates = Vec::new();
    for place in PLACES {
        walk(&root.join(place), &mut |file| {
            let directory = file.parent().unwrap();
            if file.ends_with("Cargo.toml") && directory.join("src").is_dir() {
                crates.push(directory.to_owned());
            }
        });
    }
    crates.sort();
    crates
}

/// How long a file is.
pub fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

/// Shows every file below a directory, but for what is built or hidden.
pub fn walk(directory: &Path, show: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => walk(&path, show),
            kind if kind.is_file() => show(&path),
            _ => {}
        }
    }
}
