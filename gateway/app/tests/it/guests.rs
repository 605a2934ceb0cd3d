//! Modules that tests run as plugins.

use std::path::Path;

/// The url of a guest compiled by `plugins/build`.
pub fn guest(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/guests")
        .join(format!("{name}.wasm"));
    let path = path
        .canonicalize()
        .unwrap_or_else(|_| panic!("the guest {name} is not built; run `make plugins`"));
    format!("file://{}", path.display())
}
