//! The life of the serving process: configurations as they come, signals, upgrade, drain.

use std::time::Duration;

use portcullis_admin::{AdminState, ListenerDrain};
use portcullis_sources::{FileSource, ReloadHandle};
use tokio::sync::{mpsc, oneshot};

use crate::args::ServeArguments;
use crate::control::{Applied, Control};
use crate::drain::{Patience, drain, drain_for_successor};
use crate::inheritance::{Predecessor, hand_out};
use crate::own_binary::OwnCommand;
use crate::ready_file;
use crate::side_ports::SideListeners;
use crate::signals::{Signal, Signals};
use crate::systemd::{Notice, notify};
use crate::upgrade::{Outcome, Upgrade, refusal};

/// What the process consists of.
pub(crate) struct Process {
    /// The command line.
    pub arguments: ServeArguments,
    /// Applies configurations.
    pub control: Control,
    /// Where they come from.
    pub source: FileSource,
    /// What the side ports tell about, the workers among it.
    pub admin: AdminState,
    /// The side ports.
    pub sides: SideListeners,
    /// The signals.
    pub signals: Signals,
    /// Drains that the admin port asks for.
    pub drains: mpsc::UnboundedReceiver<ListenerDrain>,
    /// What an upgrade starts.
    pub own: OwnCommand,
    /// Who started us in an upgrade, until it is told to go.
    pub predecessor: Option<Predecessor>,
    /// The world knows that we are ready.
    pub announced: bool,
}

impl Process {
    /// Applies configurations, one at a time, until a signal begins the drain or a successor is ready, and the
    /// drain is over. Plugins may take seconds to start; a signal does not wait for them.
    pub(crate) async fn serve_until_drained(&mut self) {
        let reload = self.source.reload_handle();
        let (mut applying, mut upgrade) = (None, None);
        let mut wanted = false;
        loop {
            // The successor is to get every socket, so none may be opened while it starts.
            if wanted && applying.is_none() {
                (wanted, upgrade) = (false, self.begin_upgrade());
            }
            tokio::select! {
                update = self.source.latest_draft(), if applying.is_none() && upgrade.is_none() => {
                    applying = Some(self.control.apply(update.draft, update.problems));
                }
                applied = end_of(&mut applying) => {
                    applying = None;
                    let Some(applied) = applied else { return };
                    self.follow(applied);
                }
                outcome = end_of_upgrade(&mut upgrade) => {
                    upgrade = None;
                    if let Some(successor) = self.successor(outcome) {
                        return self.give_way(successor).await;
                    }
                }
                Some(how) = self.drains.recv() => self.drain_listeners(how),
                signal = self.signals.next() => match signal {
                    Signal::Reload => self.reload(&reload),
                    Signal::Upgrade => wanted |= self.may_upgrade(wanted || upgrade.is_some()),
                    Signal::Terminate | Signal::Interrupt => {
                        if let Some(upgrade) = upgrade {
                            upgrade.abandon().await;
                        }
                        return self.drain(signal).await;
                    }
                },
            }
        }
    }

    fn follow(&mut self, applied: Applied) {
        self.source.watch_also(applied.watch);
        if self.announced {
            // Ends what a reload began; at other times it changes nothing.
            notify(Notice::Ready);
        } else {
            self.announce(applied.generation);
        }
    }

    fn reload(&self, reload: &ReloadHandle) {
        if self.announced {
            notify(Notice::Reloading);
        }
        if let Some(log) = &self.admin.access_log {
            log.reopen();
        }
        self.control.pull_anew();
        reload.reload();
        tracing::info!("reload asked for");
    }

    /// Ready from the first configuration on. The ready file tells it, and where.
    fn announce(&mut self, generation: u64) {
        let bound = self.admin.workers.bound().len();
        if bound == 0 && !self.admin.published.current().model.listeners.is_empty() {
            tracing::warn!("not ready: no listener could be opened; free a port and send SIGHUP");
            return;
        }
        if self.predecessor.as_ref().is_some_and(|old| old.serves_more_than(bound)) {
            tracing::error!(
                "not ready: the configuration has no listener, and the old process serves some"
            );
            // It sees that we hang up, and goes on.
            self.predecessor = None;
            return;
        }
        self.announced = true;
        self.admin.readiness.set_ready();
        if self.predecessor.is_some()
            && let Err(error) = self.sides.serve()
        {
            tracing::error!(%error, "the side ports cannot be served");
        }
        self.write_ready_file(generation);
        notify(Notice::Ready);
        if let Some(old) = self.predecessor.take() {
            old.dismiss();
        }
        tracing::info!(generation, "ready");
    }

    fn write_ready_file(&self, generation: u64) {
        let Some(path) = &self.arguments.ready_file else { return };
        let bound = self.admin.workers.bound();
        if let Err(error) = ready_file::write(path, generation, &bound, &self.sides.addresses()) {
            tracing::error!(path = %path.display(), %error, "the ready file cannot be written");
        }
    }

    /// Whether an upgrade is wanted from now on; if not, the log says why.
    fn may_upgrade(&self, under_way: bool) -> bool {
        let refused = if under_way {
            Some("one is under way")
        } else if !self.announced {
            Some("this process is not ready itself")
        } else if self.admin.readiness.state().is_err() {
            Some("this process drains")
        } else {
            refusal(std::process::id())
        };
        if let Some(why) = refused {
            tracing::error!(why, "binary upgrade refused");
        }
        refused.is_none()
    }

    fn begin_upgrade(&self) -> Option<Upgrade> {
        let within = self.arguments.upgrade_timeout;
        let begun = hand_out(&self.admin.workers, &self.sides)
            .and_then(|sockets| Upgrade::begin(self.own.clone(), sockets, within));
        match begun {
            Ok(upgrade) => Some(upgrade),
            Err(error) => {
                tracing::error!(%error, "binary upgrade failed; this process goes on");
                None
            }
        }
    }

    /// The successor that is ready; without one, things are as before.
    fn successor(&self, outcome: Outcome) -> Option<u32> {
        match outcome {
            Ok(pid) => Some(pid),
            Err(why) => {
                tracing::error!(why, "binary upgrade failed; this process goes on");
                // It may have got as far as writing its own.
                self.write_ready_file(self.admin.published.current().generation);
                None
            }
        }
    }

    /// The other process answers on all our sockets. Health is told as before to whoever had asked us: this
    /// drain is nobody's business.
    async fn give_way(&mut self, successor: u32) {
        self.sides.leave();
        notify(Notice::Successor(successor));
        tracing::info!(successor, "the new process serves");
        let workers = self.admin.workers.clone();
        let patience = self.patience(self.arguments.drain_delay);
        let traffic = drain_for_successor(&workers, &mut self.signals, patience);
        tokio::join!(traffic, self.sides.close());
    }

    /// Readiness fails at once; then listeners accept through the delay, if they still do.
    async fn drain(&mut self, signal: Signal) {
        self.admin.readiness.set_draining();
        notify(Notice::Stopping);
        let workers = self.admin.workers.clone();
        let waits = signal == Signal::Terminate && workers.accepts();
        let delay = if waits { self.arguments.drain_delay } else { Duration::ZERO };
        let patience = self.patience(delay);
        drain(&workers, &mut self.signals, patience).await;
    }

    fn patience(&self, delay: Duration) -> Patience {
        Patience { delay, timeout: self.arguments.drain_timeout }
    }

    /// A drain without an exit, which SIGTERM brings.
    fn drain_listeners(&self, how: ListenerDrain) {
        self.admin.readiness.set_draining();
        let workers = self.admin.workers.clone();
        tracing::info!(?how, "draining the listeners; SIGTERM ends the process");
        workers.begin_drain();
        match how {
            ListenerDrain::Now => workers.stop_accepting(),
            ListenerDrain::Never => {}
            ListenerDrain::AfterDelay => {
                let delay = self.arguments.drain_delay;
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    workers.stop_accepting();
                });
            }
        }
    }
}

/// Waits for what is being applied, for ever where nothing is; `None` where the control thread is gone.
async fn end_of(applying: &mut Option<oneshot::Receiver<Applied>>) -> Option<Applied> {
    match applying {
        Some(applied) => applied.await.ok(),
        None => std::future::pending().await,
    }
}

async fn end_of_upgrade(upgrade: &mut Option<Upgrade>) -> Outcome {
    match upgrade {
        Some(upgrade) => upgrade.outcome().await,
        None => std::future::pending().await,
    }
}
