//! SIGUSR2: another process takes the sockets over, and nobody who asks for something notices.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_testkit::manifests::join;
use portcullis_testkit::{Call, Client, Upstream, within};
use tokio::net::UnixDatagram;
use tokio::task::JoinSet;

use crate::gateway::{Gateway, binary, directory_with};
use crate::shop::{HOST, TO_BLUE, backends, manifests};

/// A gateway whose program can be exchanged.
struct Scene {
    gateway: Gateway,
    blue: Upstream,
    _green: Upstream,
    program: PathBuf,
    /// Those that took over, which nobody else would end.
    successors: Vec<u32>,
}

impl Scene {
    async fn open(arguments: &[&str], variables: &[(&str, &str)]) -> Scene {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let directory = directory_with(&join(&[manifests(TO_BLUE), backends(&blue, &green)]));
        let program = directory.path().join("portcullis");
        symlink(binary(), &program).unwrap();
        let gateway = Gateway::start_program(&program, directory, arguments, variables).await;
        Scene { gateway, blue, _green: green, program, successors: Vec::new() }
    }

    /// Has a script take the program's place.
    fn install(&self, script: &str) {
        let beside = self.program.with_extension("new");
        std::fs::write(&beside, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(&beside, &self.program).unwrap();
    }

    /// Has a file of its own take the program's place, as a package manager does.
    fn install_copy(&self) {
        let beside = self.program.with_extension("new");
        std::fs::copy(binary(), &beside).unwrap();
        std::fs::rename(&beside, &self.program).unwrap();
    }

    /// Upgrades the process that serves now; the next one's id.
    async fn upgrade(&mut self) -> u32 {
        let serving =
            u32::try_from(self.gateway.read_ready_file()["pid"].as_u64().unwrap()).unwrap();
        send(serving, "USR2");
        let line = self.gateway.wait_for_log("the new process serves").await;
        let pid = line.split("successor=").nth(1).unwrap().trim().parse().unwrap();
        self.successors.push(pid);
        assert_ne!(pid, serving);
        assert_eq!(self.gateway.read_ready_file()["pid"], pid);
        pid
    }

    async fn connect(&self) -> Client {
        Client::http1(self.gateway.address("http")).await.unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.successors.iter().for_each(|pid| send(*pid, "KILL"));
    }
}

fn send(pid: u32, signal: &str) {
    // It may have ended.
    let _ = Command::new("kill").args(["-s", signal, &pid.to_string()]).output().unwrap();
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists()
}

/// What clients do all the time, and what came of it.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    served: AtomicUsize,
}

impl Load {
    /// On a connection that is kept for as long as the gateway keeps it.
    async fn keep_asking(self: Arc<Self>, address: std::net::SocketAddr, path: &'static str) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = Client::http1(address).await.expect("a refused connection");
            while !self.stop.load(Ordering::Relaxed) {
                let reply = client.call(Call::post(HOST, path, "body")).await;
                assert_eq!(reply.status, 200);
                self.served.fetch_add(1, Ordering::Relaxed);
                if reply.header("connection") == "close" {
                    break;
                }
            }
        }
    }

    /// On a connection of its own each time.
    async fn keep_connecting(self: Arc<Self>, address: std::net::SocketAddr, path: &'static str) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = Client::http1(address).await.expect("a refused connection");
            assert_eq!(client.get(HOST, path).await.status, 200);
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_fails_and_nothing_is_refused() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let log = ["--access-log-path", log.path().to_str().unwrap()];
    let mut scene = Scene::open(&log, &[]).await;
    let (before, load) = (scene.gateway.ready().clone(), Arc::new(Load::default()));
    let (traffic, status) = (scene.gateway.address("http"), scene.gateway.side_port("status"));
    let (probes, mut clients) = (Arc::new(Load::default()), JoinSet::new());
    for _ in 0..20 {
        clients.spawn(load.clone().keep_asking(traffic, "/"));
        clients.spawn(load.clone().keep_connecting(traffic, "/"));
    }
    let mut prober = JoinSet::new();
    prober.spawn(probes.clone().keep_connecting(status, "/healthz/ready"));
    for upgrade in 1..=3 {
        scene.blue.until(|seen| seen.requests > upgrade * 300).await;
        let pid = scene.upgrade().await;
        scene.gateway.wait_for_log("INFO drained").await;
        let after = scene.gateway.read_ready_file();
        for key in ["listeners", "status", "metrics", "admin"] {
            assert_eq!(after[key], before[key], "port 0 stays what it was");
        }
        assert!(is_alive(pid));
    }
    assert!(scene.gateway.wait_for_process().await.success());
    scene.blue.until(|seen| seen.requests > 1500).await;
    load.stop.store(true, Ordering::Relaxed);
    probes.stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    prober.join_all().await;
    send(*scene.successors.last().unwrap(), "INT");
    scene.gateway.wait().await;
    let lines = std::fs::read_to_string(log[1]).unwrap().lines().count();
    assert_eq!(lines, load.served.load(Ordering::Relaxed), "each request has its line");
}

#[tokio::test]
async fn what_is_in_flight_is_finished_by_the_old_process() {
    let mut scene = Scene::open(&[], &[]).await;
    let (mut client, mut balancer) = (scene.connect().await, scene.connect().await);
    assert_eq!(balancer.get(HOST, "/.portcullis/healthz/ready").await.status, 200);
    let held = tokio::spawn(async move { client.get(HOST, "/slow").await });
    scene.blue.until(|seen| seen.held == 1).await;
    scene.install_copy();
    let pid = scene.upgrade().await;
    // From this line on its responses close their connections.
    scene.gateway.wait_for_log("draining").await;
    assert_eq!(scene.connect().await.get(HOST, "/").await.upstream(), "blue");
    let reply = balancer.get(HOST, "/.portcullis/healthz/ready").await;
    assert_eq!((reply.status.as_u16(), reply.header("connection")), (200, "close"));
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(exe, scene.program.canonicalize().unwrap(), "the file that is there now");
    // A supervisor's signal to both asks the old one for what it is doing.
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("draining already").await;
    scene.blue.release();
    assert_eq!(held.await.unwrap().text(), "released");
    assert!(scene.gateway.wait_for_process().await.success());
    assert!(is_alive(pid));
    // The copy was replaced under its feet, and is found by its name all the same.
    scene.install_copy();
    scene.upgrade().await;
    assert_eq!(scene.connect().await.get(HOST, "/").await.upstream(), "blue");
}

#[tokio::test]
async fn a_broken_program_changes_nothing() {
    let mut scene = Scene::open(&["--upgrade-timeout", "1s"], &[]).await;
    let mut client = scene.connect().await;
    for (script, why) in [
        ("exit 3", "exit status: 3"),
        ("exec sleep 600", "was not ready within 1s; it was killed"),
        ("exec /nonexistent", "ended before it was ready"),
    ] {
        scene.install(script);
        scene.gateway.signal("USR2");
        let started = scene.gateway.wait_for_log("the new process is started").await;
        let line = scene.gateway.wait_for_log("binary upgrade failed").await;
        assert!(line.contains(why) && line.contains("goes on"), "{line}");
        let pid = started.split("pid=").nth(1).unwrap().split(' ').next().unwrap();
        assert!(!is_alive(pid.parse().unwrap()), "{script} lives on");
        assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    }
    std::fs::remove_file(&scene.program).unwrap();
    scene.gateway.signal("USR2");
    scene.gateway.wait_for_log("cannot be started").await;
    symlink(binary(), &scene.program).unwrap();
    let manifests = join(&[manifests("- directResponse: {status: 201}\n")]);
    scene.gateway.apply(&manifests).await;
    assert_eq!(client.get(HOST, "/").await.status, 201, "configurations are applied as before");
}

#[tokio::test]
async fn a_second_upgrade_waits_for_no_first_and_sigterm_ends_both() {
    let mut scene = Scene::open(&["--drain-delay", "0s"], &[]).await;
    scene.install("exec sleep 600");
    scene.gateway.signal("USR2");
    let started = scene.gateway.wait_for_log("the new process is started").await;
    let pid = started.split("pid=").nth(1).unwrap().split(' ').next().unwrap();
    scene.gateway.signal("USR2");
    let line = scene.gateway.wait_for_log("binary upgrade refused").await;
    assert!(line.contains("one is under way"), "{line}");
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("binary upgrade given up").await;
    assert!(scene.gateway.wait().await.success());
    assert!(!is_alive(pid.parse().unwrap()));
}

#[tokio::test]
async fn a_successor_that_finds_no_configuration_does_not_take_over() {
    let mut scene = Scene::open(&[], &[]).await;
    // The old process keeps its last good state.
    std::fs::remove_file(scene.gateway.config().join("all.yaml")).unwrap();
    scene.gateway.wait_for_log("PC0106").await;
    scene.gateway.wait_for_generation().await;
    scene.gateway.signal("USR2");
    scene.gateway.wait_for_log("not ready: the configuration has no listener").await;
    scene.gateway.wait_for_log("binary upgrade failed").await;
    assert_eq!(scene.connect().await.get(HOST, "/").await.upstream(), "blue");
}

#[tokio::test]
async fn systemd_is_told_of_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let next = async || {
        let mut bytes = [0; 200];
        let length = within("a notice", socket.recv(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut scene = Scene::open(&["--drain-delay", "0s"], &variables).await;
    assert!(next().await.starts_with("READY=1"));
    scene.gateway.signal("HUP");
    assert!(next().await.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(next().await.starts_with("READY=1"));
    let pid = scene.upgrade().await;
    // The new one's, then the old one's, which systemd believes in any case.
    assert!(next().await.starts_with("READY=1"));
    assert_eq!(next().await, format!("MAINPID={pid}"));
    assert!(scene.gateway.wait_for_process().await.success());
    send(pid, "TERM");
    assert!(next().await.starts_with("STOPPING=1"));
    scene.gateway.wait().await;
}
