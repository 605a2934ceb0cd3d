//! Finds the shipped plugins, which `make plugins` compiles to Wasm, and the commit.

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
    println!("cargo::rerun-if-changed=../../.git/HEAD");
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
