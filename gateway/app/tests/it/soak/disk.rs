//! A disk that fills up under load, and has room again: only lines of the access log are lost, and counted.

use std::path::PathBuf;
use std::process::Command;

use portcullis_testkit::within;

use crate::faults::dropped_lines;
use crate::load::Load;
use crate::shop::{Shop, TO_BLUE};

/// A file system of 256 KiB in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Disk {
        let disk = Disk(tempfile::tempdir().unwrap());
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "none"])
            .arg(disk.0.path()));
        disk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: mounts a file system"]
async fn soak_a_disk_that_is_full_for_a_while() {
    let disk = Disk::mount();
    std::fs::write(disk.file("filler"), vec![0; 200 << 10]).unwrap();
    let log = disk.file("access.log");
    let arguments =
        ["--access-log-path", log.to_str().unwrap(), "--access-log", "%REQ(:PATH)% whole"];
    let mut shop = Shop::open_with(TO_BLUE, &arguments).await;
    let load = Load::begin(shop.gateway.address("http"), 200).await;
    shop.gateway.wait_for_log("cannot write the access log; lines are lost").await;
    load.until_answered(200).await;
    let (full, lost) = (std::fs::metadata(&log).unwrap().len(), dropped_lines(&shop.gateway).await);
    assert!(lost > 0);
    std::fs::remove_file(disk.file("filler")).unwrap();
    let goes_on = async {
        while std::fs::metadata(&log).unwrap().len() == full {
            tokio::task::yield_now().await;
        }
    };
    within("lines where there is room again, without a signal", goes_on).await;
    let answered = load.end().await;
    assert_eq!(shop.blue.seen().requests, answered, "each request was executed once");
    let all_counted = async {
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let whole = text.lines().filter(|line| line.ends_with(" whole")).count();
            if whole + dropped_lines(&shop.gateway).await == answered {
                return;
            }
        }
    };
    within("a whole line or a count for each request", all_counted).await;
}
