//! Makes a module smaller and quicker: a saving, not a need.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::author_error::AuthorError;
use crate::progress::Progress;
use crate::toolchain::program;

/// What rustc uses by default; older optimisers know all of it but want to be told.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// The module's bytes, optimised where `wasm-opt` is there and knows the module; else as they are.
///
/// Names of functions stay, so that the backtrace of a trap says where it was.
pub(crate) fn optimise(module: &Path, progress: &Progress) -> Result<Vec<u8>, AuthorError> {
    let Some(tool) = program("wasm-opt") else {
        progress.say(
            "no wasm-opt on the path (package `binaryen`): the module stays some percent larger",
        );
        return read(module);
    };
    let smaller = module.with_extension("optimised");
    let run = Command::new(tool)
        .args(["-Oz", "-g", "--strip-dwarf", "--strip-producers"])
        .args(FEATURES)
        .arg(module)
        .arg("-o")
        .arg(&smaller)
        .stdin(Stdio::null())
        .output();
    match run {
        Ok(run) if run.status.success() => read(&smaller),
        Ok(run) => {
            let said = String::from_utf8_lossy(&run.stderr);
            let last = said.trim().lines().next_back().unwrap_or("it failed").to_owned();
            progress.say(&format!("wasm-opt leaves the module as it is: {last}"));
            read(module)
        }
        Err(error) => {
            progress.say(&format!("wasm-opt does not start: {error}"));
            read(module)
        }
    }
}

fn read(module: &Path) -> Result<Vec<u8>, AuthorError> {
    std::fs::read(module).map_err(|error| AuthorError::file(module, &error))
}
