//! The signals that the process answers to.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM: drain.
    Terminate,
    /// SIGINT: drain without the delay.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: let the binary that is now at our path take over.
    Upgrade,
}

/// The signals of the process, from now on handled here.
pub(crate) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    reload: Stream,
    upgrade: Stream,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next signal. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.reload.recv() => Signal::Reload,
            _ = self.upgrade.recv() => Signal::Upgrade,
        }
    }

    /// The next signal that asks for the end.
    pub(crate) async fn next_end(&mut self) {
        while let ignored @ (Signal::Reload | Signal::Upgrade) = self.next().await {
            tracing::warn!(signal = ?ignored, "ignored: the process is on its way out");
        }
    }
}
