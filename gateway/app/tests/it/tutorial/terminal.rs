//! Two terminals: one in which commands end, one in which something runs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::markdown::line_fits;
use crate::gateway::binary;

/// A first build takes this long where everything else does too.
const PATIENCE: Duration = Duration::from_secs(300);
/// The ports of the page, in the place of which free ones are taken.
const TRAFFIC: &str = "8080";
const METRICS: &str = "15020";

/// Where commands are run one after the other; `cd` lasts.
pub struct Terminal {
    folder: PathBuf,
    outside: PathBuf,
    /// What the page's ports really are.
    ports: Vec<(&'static str, String)>,
}

impl Terminal {
    /// Opens one in an empty directory.
    pub fn open(directory: &Path) -> Terminal {
        let (folder, outside) = (directory.join("home"), directory.join("outside"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(binary(), outside.join("portcullis")).unwrap();
        Terminal { folder, outside, ports: Vec::new() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the lines of a block, each of which has to succeed, and gives back all that they say.
    pub fn run(&mut self, place: &str, script: &str) -> String {
        let mut script = script.to_owned();
        for (written, real) in &self.ports {
            script = script.replace(&format!(":{written}/"), &format!(":{real}/"));
        }
        let left_at = self.outside.join("folder");
        let whole = format!("set -eo pipefail\nexec 2>&1\n{script}\npwd > {}", left_at.display());
        let output = self.command(&whole).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{place}: {}\n{script}\n{said}", output.status);
        self.folder = std::fs::read_to_string(left_at).unwrap().trim_end().into();
        said
    }

    fn command(&self, script: &str) -> Command {
        let mut paths = vec![self.outside.clone()];
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(&self.folder).stdin(Stdio::null());
        command.env("PATH", std::env::join_paths(paths).unwrap());
        // The standard library and what the SDK needs are compiled once, not once a run.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tutorial");
        command.env("CARGO_TARGET_DIR", target).env_remove("RUSTFLAGS");
        // Tests run side by side, so what the page leaves at its defaults gets free ports.
        command.env("PORTCULLIS_BIND", "127.0.0.1");
        for side in ["STATUS", "METRICS", "ADMIN"] {
            command.env(format!("PORTCULLIS_{side}"), "127.0.0.1:0");
        }
        command.env("PORTCULLIS_READY_FILE", self.ready_file());
        command
    }

    fn ready_file(&self) -> PathBuf {
        self.outside.join("ready.json")
    }
}

/// Where something runs until somebody ends it; that somebody is whoever drops this.
pub struct OtherTerminal {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl OtherTerminal {
    /// Starts one command and waits until it takes requests.
    pub fn run(place: &str, script: &str, terminal: &mut Terminal) -> OtherTerminal {
        let script = format!("exec 2>&1\nexec {}", script.replace(TRAFFIC, "0"));
        let child = terminal.command(&script).stdout(Stdio::piped()).spawn().unwrap();
        let mut other = OtherTerminal::listen(child);
        let begun = Instant::now();
        let ready = loop {
            let line = other.line(place, begun);
            if let Some((_, rest)) = line.split_once("is served on http://") {
                let port = rest.split(':').nth(1).unwrap().split(';').next().unwrap();
                break vec![(TRAFFIC, port.to_owned())];
            }
            if line.contains(" ready generation=") {
                break ports_of(&terminal.ready_file());
            }
        };
        // The page speaks of its own ports, in commands and in what is said.
        for line in &mut other.heard {
            for (written, real) in &ready {
                *line = line.replace(real, written);
            }
        }
        terminal.ports = ready;
        other
    }

    fn listen(mut child: Child) -> OtherTerminal {
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            // Whoever listened may be gone.
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        OtherTerminal { child, lines, heard: Vec::new() }
    }

    /// Waits until it has said these lines, in this order.
    pub fn wait_for(&mut self, place: &str, shown: &str) {
        let begun = Instant::now();
        for expected in shown.lines() {
            loop {
                if let Some(at) = self.heard.iter().position(|line| line_fits(expected, line)) {
                    self.heard.drain(..=at);
                    break;
                }
                self.line(place, begun);
            }
        }
    }

    fn line(&mut self, place: &str, begun: Instant) -> String {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let line = self
            .lines
            .recv_timeout(left)
            .unwrap_or_else(|error| panic!("{place}: {error} after\n{}", self.heard.join("\n")));
        self.heard.push(line.clone());
        line
    }
}

impl Drop for OtherTerminal {
    /// As Ctrl-C does.
    fn drop(&mut self) {
        let interrupt = ["-INT".to_owned(), self.child.id().to_string()];
        if !Command::new("kill").args(interrupt).status().is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn ports_of(ready_file: &Path) -> Vec<(&'static str, String)> {
    let ready: Value = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
    let port = |pointer: &str| {
        let address = ready.pointer(pointer).and_then(Value::as_str).unwrap();
        address.rsplit(':').next().unwrap().to_owned()
    };
    vec![(TRAFFIC, port("/listeners/0/address")), (METRICS, port("/metrics"))]
}
