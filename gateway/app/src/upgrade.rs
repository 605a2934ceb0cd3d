//! A binary upgrade as the old process sees it: start the program that is now at our path, hand the listening
//! sockets over, and wait until it is ready.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::handover::{self, Channel, Named};
use crate::own_binary::OwnCommand;

/// A successor on its way. Dropped before it is ready, it is killed.
pub(crate) struct Upgrade {
    channel: Arc<Channel>,
    outcome: oneshot::Receiver<Outcome>,
}

/// The successor's process id, or why there is none.
pub(crate) type Outcome = Result<u32, String>;

/// Why no upgrade may begin in a process with this id; `None` where it may.
pub(crate) fn refusal(own_pid: u32) -> Option<&'static str> {
    // The kernel ends a container with its first process.
    (own_pid == 1).then_some(
        "this is process 1 of a container, which would end with it; roll out a new image instead",
    )
}

impl Upgrade {
    /// Starts the successor with these sockets. It has so long to become ready.
    ///
    /// # Errors
    /// Where the system gives no channel or thread.
    pub(crate) fn begin(
        own: OwnCommand,
        sockets: Vec<Named>,
        within: Duration,
    ) -> std::io::Result<Self> {
        let (channel, theirs) = handover::channel()?;
        let channel = Arc::new(channel);
        let (tell, outcome) = oneshot::channel();
        let ours = channel.clone();
        std::thread::Builder::new().name("upgrade".to_owned()).spawn(move || {
            // Nobody waits for it when the process is ending.
            let _ = tell.send(bring_up(&own, theirs, &ours, &sockets, within));
        })?;
        Ok(Upgrade { channel, outcome })
    }

    /// What came of it. May be dropped while it waits.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        (&mut self.outcome).await.unwrap_or_else(|_| Err("its thread ended".to_owned()))
    }
}

impl Upgrade {
    /// Kills the successor and waits for its end.
    pub(crate) async fn abandon(mut self) {
        self.channel.hang_up();
        match self.outcome().await {
            // It was ready at this very moment, and serves; what we were told was not meant for it.
            Ok(pid) => tracing::warn!(pid, "the new process is ready already and goes on"),
            Err(why) => tracing::info!(why, "binary upgrade given up"),
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.channel.hang_up();
    }
}

/// Starts the successor and sees it to readiness; a child that does not get there is killed.
fn bring_up(
    own: &OwnCommand,
    theirs: OwnedFd,
    channel: &Channel,
    sockets: &[Named],
    within: Duration,
) -> Outcome {
    let mut child = start(own, theirs)
        .map_err(|error| format!("{} cannot be started: {error}", own.path.display()))?;
    tracing::info!(pid = child.id(), path = %own.path.display(), "the new process is started");
    let ready = channel.send_sockets(sockets).and_then(|()| channel.receive_ready(within));
    match ready {
        Ok(()) => Ok(child.id()),
        Err(error) => Err(give_up(&mut child, &error, within)),
    }
}

fn start(own: &OwnCommand, theirs: OwnedFd) -> std::io::Result<Child> {
    Command::new(&own.path)
        .arg0(&own.name)
        .args(&own.arguments)
        .env(handover::VARIABLE, OsStr::new(handover::BY_STDIN))
        .stdin(theirs)
        .spawn()
}

fn give_up(child: &mut Child, error: &std::io::Error, within: Duration) -> String {
    let pid = child.id();
    // It may have ended by itself, and then its status tells more.
    let killed = child.kill();
    let status = child.wait();
    match (error.kind(), status) {
        (std::io::ErrorKind::TimedOut, _) => {
            format!("process {pid} was not ready within {within:?}; it was killed")
        }
        (_, Ok(status)) if status.code().is_some() => {
            format!("process {pid} ended before it was ready ({status}); see its lines above")
        }
        (_, Ok(_)) if killed.is_ok() => format!("process {pid} was killed: {error}"),
        _ => format!("process {pid} is lost: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_a_container_is_never_replaced() {
        assert!(refusal(1).is_some_and(|why| why.contains("container")));
        assert_eq!(refusal(2), None);
    }
}
