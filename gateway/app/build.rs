//! Finds the shipped plugins, which `make plugins` compiles to Wasm, the commit, and the engine's version.

use std::path::Path;
use std::process::Command;

const SHIPPED: [&str; 2] = ["jwt-auth", "telemetry"];

fn main() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    for name in SHIPPED {
        require(&plugins.join(name).with_extension("wasm"));
    }
    println!("cargo::rustc-env=PORTCULLIS_PLUGINS={}", plugins.display());
    println!(
        "cargo::rustc-env=PORTCULLIS_COMMIT={}",
        commit().unwrap_or_else(|| "unknown".to_owned())
    );
    println!(
        "cargo::rustc-env=PORTCULLIS_ENGINE={}",
        engine_version().unwrap_or_else(|| "unknown".to_owned())
    );
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
}

fn require(module: &Path) {
    println!("cargo::rerun-if-changed={}", module.display());
    if !module.is_file() {
        println!(
            "cargo::error=the shipped plugin {} is not built; run `make plugins` first",
            module.display()
        );
    }
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// wasmtime has no constant for its version; the lock file has.
fn engine_version() -> Option<String> {
    let lock = std::fs::read_to_string("../../Cargo.lock").ok()?;
    let (_, after) = lock.split_once("name = \"wasmtime\"\nversion = \"")?;
    after.split('"').next().map(str::to_owned)
}
