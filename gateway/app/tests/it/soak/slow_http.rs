//! slowhttptest in its three modes: slow clients are sent away, and others are served all the time.

use portcullis_testkit::Upstream;
use portcullis_testkit::manifests::{http_gateway, join, virtual_service};
use tokio::process::Command;

use crate::gateway::Gateway;
use crate::shop::{TO_BLUE, backends};

/// Connections that slowhttptest holds.
const CONNECTIONS: &str = "300";
/// Seconds that it tries; its probe connection has to be served within five at every moment.
const SECONDS: &str = "120";

#[tokio::test]
#[ignore = "soak: up to two minutes, needs slowhttptest"]
async fn soak_slow_heads_hold_nobody_up() {
    attack(&["-H", "-i", "5"], "/").await;
}

#[tokio::test]
#[ignore = "soak: up to two minutes, needs slowhttptest"]
async fn soak_slow_bodies_hold_nobody_up() {
    attack(&["-B", "-i", "5", "-s", "8192"], "/sink").await;
}

#[tokio::test]
#[ignore = "soak: up to two minutes, needs slowhttptest"]
async fn soak_slow_readers_hold_nobody_up() {
    attack(&["-X", "-n", "5", "-z", "32", "-w", "10", "-y", "20", "-k", "3"], "/stream/2").await;
}

/// Attacks a path; the gateway has closed every connection of the attacker when it ends.
async fn attack(mode: &[&str], path: &str) {
    let blue = Upstream::start("blue");
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        backends(&blue, &blue),
    ]))
    .await;
    let url = format!("http://{}{path}", gateway.address("http"));
    let common = ["-c", CONNECTIONS, "-r", "100", "-l", SECONDS, "-p", "5", "-v", "1", "-u", &url];
    let attack = Command::new("slowhttptest").args(mode).args(common).output();
    let attack = attack.await.expect("no slowhttptest: run make soak");
    let report = String::from_utf8_lossy(&attack.stdout);
    let said = |label: &str| {
        let line = report.lines().rev().find(|line| line.contains(label));
        line.unwrap_or_else(|| panic!("no {label} in {report}")).to_owned()
    };
    assert!(said("service available:").contains("YES"), "{report}");
    let exit = said("Exit status:");
    assert!(exit.contains("No open connections left"), "{exit}\n{report}");
}
