//! Modules that tests run as plugins.

use std::path::Path;

use portcullis_testkit::{Client, within};

use crate::gateway::Gateway;

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

/// Waits until every plugin serves or is refused: the start waits for them for a few seconds only.
pub async fn until_loaded(gateway: &Gateway) {
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let loaded = async {
        while admin.get("localhost", "/plugins").await.text().contains("\"loading\"") {
            tokio::task::yield_now().await;
        }
    };
    within("every plugin to serve or to be refused", loaded).await;
}
