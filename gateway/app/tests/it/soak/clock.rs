//! The wall clock jumps: what is measured by it follows, timers do not move.

use std::path::PathBuf;

use portcullis_testkit::manifests::{
    http_gateway, join, route_to, service_entry, virtual_service, wasm_plugin,
};
use portcullis_testkit::{Call, Client, Upstream};
use serde_json::json;

use crate::gateway::Gateway;
use crate::shipped_plugins::jwt_auth::{send, settings};
use crate::shipped_plugins::signing::{Key, claims};

const SERVICE: &str = "shop.default.svc.cluster.local";

#[tokio::test]
#[ignore = "soak: needs libfaketime"]
async fn soak_tokens_follow_a_clock_that_jumps_and_timers_do_not() {
    let (upstream, key) = (Upstream::start("up"), Key::secret());
    let clock = Clock::new();
    let gateway = Gateway::start_with_env(&manifests(&upstream, &key), &clock.variables()).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let token = key.sign(&claims(json!({})));
    let mut held = Client::http1(gateway.address("http")).await.unwrap();
    let waiting = Call::get("shop", "/slow").header("authorization", &format!("Bearer {token}"));
    let waiting = tokio::spawn(async move { held.call(waiting).await });
    upstream.until(|seen| seen.held == 1).await;
    for (jump, status) in [("+0", 200), ("+2h", 401), ("-2h", 200), ("+2d", 401), ("+0", 200)] {
        clock.jump(jump);
        let reply = send(&mut client, &token).await;
        assert_eq!(reply.status, status, "after {jump}: {}", reply.text());
    }
    upstream.release();
    // Its route allows an hour, and it was there all the time.
    assert_eq!(waiting.await.unwrap().status, 200);
}

fn manifests(upstream: &Upstream, key: &Key) -> String {
    let configuration = settings(&[key], json!({}));
    join(&[
        http_gateway("gw", 80, &["*"]),
        service_entry("shop", SERVICE, 80, &[upstream.address()]),
        virtual_service("shop", "gw", &["*"], &format!("{}  timeout: 1h\n", route_to(SERVICE, 80))),
        wasm_plugin("auth", "builtin:jwt-auth", &format!("pluginConfig: {configuration}\n")),
    ])
}

/// A process's wall clock that a test sets; its monotonic clock stays real.
struct Clock {
    directory: tempfile::TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Clock { directory: tempfile::tempdir().unwrap() };
        clock.jump("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("clock")
    }

    /// Sets it so far from the real time.
    fn jump(&self, by: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{by}\n")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn variables(&self) -> Vec<(&'static str, &'static str)> {
        let of =
            |name, value: PathBuf| (name, &*value.into_os_string().into_string().unwrap().leak());
        vec![
            of("LD_PRELOAD", library()),
            of("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

fn library() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let directories = std::fs::read_dir("/usr/lib").unwrap();
    let mut libraries = directories.map(|directory| directory.unwrap().path().join(name));
    libraries.find(|library| library.exists()).expect("no libfaketime: run make soak")
}
