//! A program that was started, and what it says, line by line.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// A program; killed when dropped.
#[derive(Debug)]
pub(crate) struct ChildLines {
    _child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl ChildLines {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (sender, lines) = mpsc::unbounded_channel();
        if let Some(output) = child.stdout.take() {
            tokio::spawn(read(output, sender.clone()));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(read(output, sender));
        }
        Ok(ChildLines { _child: child, lines })
    }

    /// The next line; `None` when it has ended, or when that long nothing came.
    pub(crate) async fn next_line(&mut self, until: Instant) -> Option<String> {
        timeout_at(until, self.lines.recv()).await.ok().flatten()
    }

    /// The next line; `None` when it has ended.
    pub(crate) async fn line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// Reads on until a line contains a text. What was read is kept in `heard`.
    pub(crate) async fn wait_for(
        &mut self,
        text: &str,
        patience: Duration,
        heard: &mut Vec<String>,
    ) -> bool {
        let until = Instant::now() + patience;
        while let Some(line) = self.next_line(until).await {
            let found = line.contains(text);
            heard.push(line);
            if found {
                return true;
            }
        }
        false
    }

    /// What has been said and not been read yet.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }
}

async fn read(output: impl AsyncRead + Unpin, sender: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if sender.send(line).is_err() {
            return;
        }
    }
}
