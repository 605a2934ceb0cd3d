//! Packs what `plugin new` writes: the SDK's sources and the templates. The SDK is in no registry yet, so every binary
//! carries it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What of a directory belongs to a project; caches and editors' files do not.
const ENDINGS: [&str; 5] = ["rs", "toml", "md", "in", "yaml"];

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packed = String::new();
    pack("SDK", &here.join("../../sdk/rust"), &mut packed);
    pack("TEMPLATES", &here.join("templates"), &mut packed);
    let target = Path::new(&std::env::var("OUT_DIR").unwrap_or_default()).join("packed.rs");
    if let Err(error) = fs::write(&target, packed) {
        println!("cargo::error={}: {error}", target.display());
    }
}

/// A constant of that name: every file's path below `root`, with `/` between, and its bytes.
fn pack(name: &str, root: &Path, out: &mut String) {
    let mut files = Vec::new();
    walk(root, &mut files);
    files.sort();
    let _ = writeln!(out, "pub(crate) const {name}: &[(&str, &str)] = &[");
    for file in files {
        let below = file.strip_prefix(root).unwrap_or(&file);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let whole = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
        let _ = writeln!(out, "    ({:?}, include_str!({:?})),", parts.join("/"), whole);
    }
    let _ = writeln!(out, "];");
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "examples" || name == "tests.rs" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if ENDINGS
            .iter()
            .any(|ending| path.extension().is_some_and(|known| known == *ending))
        {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
}
