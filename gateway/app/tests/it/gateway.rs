//! The real binary on loopback, with its configuration in a directory that the test changes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Nothing here takes long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway. It is killed when dropped.
pub struct Gateway {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    access_lines: mpsc::UnboundedReceiver<String>,
    directory: TempDir,
    ready: Value,
    /// Every line of its log that was read so far.
    pub log: Vec<String>,
}

impl Gateway {
    /// Starts with these manifests and waits until it is ready.
    pub async fn start(manifests: &str) -> Gateway {
        Gateway::start_with(manifests, &[]).await
    }

    /// Starts with further arguments. They take the place of those that tests usually start with.
    pub async fn start_with(manifests: &str, arguments: &[&str]) -> Gateway {
        Gateway::start_in(directory_with(manifests), arguments).await
    }

    /// Starts on a directory whose `config` holds the manifests.
    pub async fn start_in(directory: TempDir, arguments: &[&str]) -> Gateway {
        let command = command(Path::new(binary()), directory.path(), arguments, &[]);
        Gateway::start_command(directory, command).await
    }

    /// Starts another program than the binary under test, with environment variables beside the arguments.
    pub async fn start_program(
        program: &Path,
        directory: TempDir,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Gateway {
        let command = command(program, directory.path(), arguments, variables);
        Gateway::start_command(directory, command).await
    }

    /// Starts with environment variables, which take the place of the usual arguments too.
    pub async fn start_with_env(manifests: &str, variables: &[(&str, &str)]) -> Gateway {
        let directory = directory_with(manifests);
        let command = command(Path::new(binary()), directory.path(), &[], variables);
        Gateway::start_command(directory, command).await
    }

    /// Starts with so many descriptors at most.
    pub async fn start_with_descriptors(manifests: &str, descriptors: u64) -> Gateway {
        let directory = directory_with(manifests);
        let plain = command(Path::new(binary()), directory.path(), &[], &[]);
        let mut limited = Command::new("prlimit");
        limited
            .arg(format!("--nofile={descriptors}"))
            .arg(plain.as_std().get_program())
            .args(plain.as_std().get_args());
        prepare(&mut limited);
        Gateway::start_command(directory, limited).await
    }

    /// Allows it so many descriptors more than it has now.
    pub fn limit_descriptors(&self, more: usize) {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let open: Vec<u64> = open
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .collect();
        let mut free = (0..).filter(|number| !open.contains(number));
        // The limit is one above the highest number that may be given out.
        let limit = free.nth(more).unwrap();
        self.set_descriptors(&format!("{limit}:"));
    }

    /// Allows it the usual number again.
    pub fn unlimit_descriptors(&self) {
        self.set_descriptors("1024:");
    }

    fn set_descriptors(&self, limit: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={limit}")])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    async fn start_command(directory: TempDir, mut command: Command) -> Gateway {
        let mut child = command.spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        let access_lines = read_lines(child.stdout.take().unwrap());
        let (ready, log) = (Value::Null, Vec::new());
        let mut gateway = Gateway { child, lines, access_lines, directory, ready, log };
        gateway.wait_for_log(" ready generation=").await;
        gateway.ready = gateway.read_ready_file();
        gateway
    }

    /// The ready file as it is now, after an upgrade for instance.
    pub fn read_ready_file(&self) -> Value {
        let ready = std::fs::read_to_string(self.directory.path().join("ready.json")).unwrap();
        serde_json::from_str(&ready).unwrap()
    }

    /// Where the server with this name listens.
    pub fn address(&self, server: &str) -> SocketAddr {
        let listeners = self.ready["listeners"].as_array().unwrap();
        let listener = listeners.iter().find(|listener| listener["server"] == server);
        let listener = listener.unwrap_or_else(|| panic!("no server {server} in {}", self.ready));
        listener["address"].as_str().unwrap().parse().unwrap()
    }

    /// Where a side port listens: `status`, `metrics` or `admin`.
    pub fn side_port(&self, name: &str) -> SocketAddr {
        self.ready[name].as_str().unwrap().parse().unwrap()
    }

    /// The ready file.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// The directory of its manifests.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// Replaces the manifests by renaming, as editors do, and waits until they are applied. Returns the
    /// generation.
    pub async fn apply(&mut self, manifests: &str) -> u64 {
        self.write(manifests);
        self.wait_for_generation().await
    }

    /// Replaces the manifests without waiting.
    pub fn write(&self, manifests: &str) {
        self.write_file("all.yaml", manifests);
    }

    /// Writes another file beside the manifests by renaming, without waiting.
    pub fn write_file(&self, name: &str, contents: impl AsRef<[u8]>) {
        let new = self.config().join(".new");
        std::fs::write(&new, contents).unwrap();
        std::fs::rename(new, self.config().join(name)).unwrap();
    }

    /// Waits until the next configuration is applied; its generation.
    pub async fn wait_for_generation(&mut self) -> u64 {
        let line = self.wait_for_log("configuration applied").await;
        let number = line.split("generation=").nth(1).unwrap();
        number.split(' ').next().unwrap().parse().unwrap()
    }

    /// Waits for the next line of the log that contains a text.
    pub async fn wait_for_log(&mut self, text: &str) -> String {
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.lines.recv().await {
                self.log.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the gateway ended without saying {text:?}:\n{}", self.log.join("\n"));
        });
        match found.await {
            Ok(line) => line,
            Err(_) => panic!("the gateway never said {text:?}:\n{}", self.log.join("\n")),
        }
    }

    /// A line of the log that contains a text, whether it came before or has yet to come.
    pub async fn logged(&mut self, text: &str) -> String {
        match self.log.iter().find(|line| line.contains(text)) {
            Some(line) => line.clone(),
            None => self.wait_for_log(text).await,
        }
    }

    /// The next line of the access log. It goes to standard output unless a test says otherwise.
    pub async fn access_line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.access_lines.recv()).await;
        line.expect("no line in the access log").expect("the gateway ended")
    }

    /// The next line of the access log that contains a text.
    pub async fn access_line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.access_line().await;
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal by its `kill` name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end; the rest of its log is in `log`.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.lines.recv().await {
                self.log.push(line);
            }
            self.child.wait().await.unwrap()
        });
        ended.await.unwrap_or_else(|_| panic!("the gateway did not end:\n{}", self.log.join("\n")))
    }

    /// Waits for the end of the process that the test started; another may have taken its place.
    pub async fn wait_for_process(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("no end").unwrap()
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// A directory whose `config` holds these manifests.
pub fn directory_with(manifests: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("all.yaml"), manifests).unwrap();
    directory
}

/// Reads all the time, so that the gateway never waits for the test.
fn read_lines(stream: impl AsyncRead + Unpin + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_portcullis")
}

/// What tests usually start with: every port free, two workers.
const USUAL: [(&str, &str); 6] = [
    ("--port-map", "80=0,443=0"),
    ("--bind", "127.0.0.1"),
    ("--workers", "2"),
    ("--status", "127.0.0.1:0"),
    ("--metrics", "127.0.0.1:0"),
    ("--admin", "127.0.0.1:0"),
];

fn command(
    program: &Path,
    directory: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--debug-headers", "--config"]).arg(directory.join("config"));
    command.arg("--ready-file").arg(directory.join("ready.json"));
    for (option, value) in USUAL {
        let variable = variable(option);
        let is_given = variables.iter().any(|(given, _)| *given == variable);
        if !is_given && !arguments.contains(&option) {
            command.args([option, value]);
        }
    }
    command.envs(variables.iter().copied()).args(arguments);
    prepare(&mut command);
    command
}

fn prepare(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
}

/// The variable that stands for an option.
fn variable(option: &str) -> String {
    format!("PORTCULLIS_{}", option.trim_start_matches('-').to_uppercase().replace('-', "_"))
}
