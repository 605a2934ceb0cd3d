//! Faults of the machine and of those who run it, under load: no request fails, and none is executed twice.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use portcullis_testkit::manifests::join;
use portcullis_testkit::{Client, Upstream, within};

use crate::gateway::{Gateway, directory_with};
use crate::load::Load;
use crate::metrics::{metrics, sample};
use crate::shop::{Shop, TO_BLUE, backends, manifests};

const CONNECTIONS: usize = 200;
const SIGNALS: usize = 500;

pub fn lines_of(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Lines that the access log lost.
pub async fn dropped_lines(gateway: &Gateway) -> usize {
    sample(&metrics(gateway).await, "portcullis_access_log_dropped_total", &[]) as usize
}

/// Fault 15.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_sighups_is_a_few_reloads() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["--access-log-path", log.path().to_str().unwrap()];
    let mut shop = Shop::open_with(TO_BLUE, &arguments).await;
    let load = Load::begin(shop.gateway.address("http"), CONNECTIONS).await;
    load.until_answered(CONNECTIONS).await;
    let storm = format!("for i in $(seq {SIGNALS}); do kill -HUP {}; done", shop.gateway.pid());
    assert!(Command::new("sh").args(["-c", &storm]).status().unwrap().success());
    load.until_answered(CONNECTIONS).await;
    let answered = load.end().await;
    assert_eq!(shop.blue.seen().requests, answered, "each request was executed once");
    // It listens still, and what it reads now is what is there.
    assert_eq!(shop.apply("- directResponse: {status: 204}\n").await, 2);
    assert_eq!(shop.get("/").await.status, 204);
    let count = |text: &str| shop.gateway.log.iter().filter(|line| line.contains(text)).count();
    let (asked, applied) = (count("reload asked for"), count("configuration unchanged"));
    assert!(asked >= 1 && (1..SIGNALS).contains(&applied), "{asked} asked, {applied} applied");
    assert_eq!(count("ERROR"), 0);
    shop.gateway.signal("INT");
    shop.gateway.wait().await;
    assert_eq!(lines_of(log.path()), answered + 1, "opening the log anew loses no line");
}

/// Fault 30. A real disk that fills up is in `soak::disk`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_lines_of_the_log_and_no_request() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let directory = directory_with(&join(&[manifests(TO_BLUE), backends(&blue, &green)]));
    let log = directory.path().join("access.log");
    symlink("/dev/full", &log).unwrap();
    let arguments = ["--access-log-path", log.to_str().unwrap()];
    let mut gateway = Gateway::start_in(directory, &arguments).await;
    let load = Load::begin(gateway.address("http"), CONNECTIONS).await;
    gateway.wait_for_log("cannot write the access log; lines are lost").await;
    load.until_answered(CONNECTIONS).await;
    assert!(dropped_lines(&gateway).await > 0);
    std::fs::remove_file(&log).unwrap();
    gateway.signal("HUP");
    let goes_on = async {
        while lines_of(&log) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("lines where there is room", goes_on).await;
    let answered = load.end().await;
    assert_eq!(blue.seen().requests, answered, "each request was executed once");
    let all_counted = async {
        while lines_of(&log) + dropped_lines(&gateway).await != answered {
            tokio::task::yield_now().await;
        }
    };
    within("a line or a count for each request", all_counted).await;
    let told = gateway.log.iter().filter(|line| line.contains("cannot write the access log"));
    assert_eq!(told.count(), 1, "told once");
}

/// Fault 33. The stop itself lasts five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_resets_nobody() {
    let shop = Shop::open(TO_BLUE).await;
    let load = Load::begin(shop.gateway.address("http"), CONNECTIONS).await;
    load.until_answered(CONNECTIONS).await;
    shop.gateway.signal("STOP");
    tokio::time::sleep(Duration::from_secs(5)).await;
    shop.gateway.signal("CONT");
    let mut status = Client::http1(shop.gateway.side_port("status")).await.unwrap();
    assert_eq!(status.get("localhost", "/healthz/ready").await.status, 200);
    load.until_answered(CONNECTIONS).await;
    let answered = load.end().await;
    assert_eq!(shop.blue.seen().requests, answered, "each request was executed once");
    assert_eq!(shop.blue.seen().connections, shop.blue.seen().open, "none was given up");
}
