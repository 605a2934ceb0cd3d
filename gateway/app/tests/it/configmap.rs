//! A mounted ConfigMap that the kubelet exchanges: the new configuration serves, and no request fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_testkit::manifests::join;
use portcullis_testkit::{Client, Upstream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::{HOST, TO_BLUE, backends, manifests};

const TO_GREEN: &str = "- route:\n  - destination: {host: green.example}\n";

/// As the kubelet's atomic writer does it: a directory with the new files, a link to it renamed over `..data`, and
/// the old directory removed. The names in the mount are links through `..data`.
fn mount(config: &Path, version: usize, files: &[(&str, String)]) {
    let directory = format!("..2026_11_24_00_00_{version:02}.1234567");
    fs::create_dir(config.join(&directory)).unwrap();
    for (name, content) in files {
        fs::write(config.join(&directory).join(name), content).unwrap();
    }
    let before = fs::read_link(config.join("..data")).ok();
    symlink(&directory, config.join("..data_tmp")).unwrap();
    fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    for (name, _) in files {
        // They are there from the first time on.
        let _ = symlink(Path::new("..data").join(name), config.join(name));
    }
    if let Some(before) = before {
        fs::remove_dir_all(config.join(before)).unwrap();
    }
}

async fn keep_asking(address: std::net::SocketAddr, stop: Arc<AtomicBool>) -> usize {
    let mut client = Client::http1(address).await.unwrap();
    let mut served = 0;
    while !stop.load(Ordering::Relaxed) {
        let reply = client.get(HOST, "/").await;
        assert_eq!(reply.status, 200);
        assert!(["blue", "green"].contains(&reply.upstream()));
        served += 1;
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanging_it_under_load_fails_no_request() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let files = |rules| {
        [("gateway.yaml", manifests(rules)), ("backends.yaml", join(&[backends(&blue, &green)]))]
    };
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    fs::create_dir(&config).unwrap();
    mount(&config, 0, &files(TO_BLUE));
    let mut gateway = Gateway::start_in(directory, &[]).await;
    let (stop, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..20 {
        clients.spawn(keep_asking(gateway.address("http"), stop.clone()));
    }
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for version in 1..=10 {
        let (rules, upstream) =
            if version % 2 == 0 { (TO_BLUE, "blue") } else { (TO_GREEN, "green") };
        mount(&config, version, &files(rules));
        gateway.wait_for_generation().await;
        assert_eq!(client.get(HOST, "/").await.upstream(), upstream);
    }
    stop.store(true, Ordering::Relaxed);
    let served: usize = clients.join_all().await.into_iter().sum();
    assert!(served > 0);
    assert!(!gateway.log.iter().any(|line| line.contains("ERROR")), "{:#?}", gateway.log);
}
