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
    let (_gateway, report) = attack(&["-H", "-i", "5"], "/").await;
    assert!(report.contains("No open connections left"), "{report}");
}

#[tokio::test]
#[ignore = "soak: up to two minutes, needs slowhttptest"]
async fn soak_slow_bodies_hold_nobody_up() {
    let (_gateway, report) = attack(&["-B", "-i", "5", "-s", "8192"], "/sink").await;
    assert!(report.contains("No open connections left"), "{report}");
}

#[tokio::test]
#[ignore = "soak: up to two minutes, needs slowhttptest"]
async fn soak_slow_readers_hold_nobody_up() {
    let mode = ["-X", "-n", "5", "-z", "32", "-w", "10", "-y", "20", "-k", "3"];
    // More than the system takes from us on behalf of a client that does not read.
    let (mut gateway, _report) = attack(&mode, "/stream/16").await;
    // slowhttptest does not notice that it was sent away.
    for _ in 0..CONNECTIONS.parse().unwrap() {
        gateway.access_line_with(" response_body_").await;
    }
}

/// Attacks a path; the attacker's own report. Its probe was served at every moment.
async fn attack(mode: &[&str], path: &str) -> (Gateway, String) {
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
    let report = String::from_utf8(attack.stdout).unwrap();
    let mut probes = report.lines().filter(|line| line.contains("service available:")).peekable();
    assert!(probes.peek().is_some(), "{report}");
    assert!(probes.all(|line| line.contains("YES")), "{report}");
    (gateway, report)
}
