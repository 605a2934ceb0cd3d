//! The control thread that starts replacements and drops what is dead, so that no worker ever does.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Work that waits at most; more is refused, and asked for again by who still needs it.
const MOST_WAITING: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// One thread with a bounded queue. It ends when this is dropped and the queue is empty.
pub(crate) struct Background {
    jobs: SyncSender<Job>,
}

impl Background {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(MOST_WAITING);
        thread::Builder::new().name("plugin-starter".to_owned()).spawn(move || {
            while let Ok(job) = waiting.recv() {
                // One plugin's failure must not end the thread that all others rely on.
                let run = std::panic::AssertUnwindSafe(job);
                if std::panic::catch_unwind(|| { run }.0()).is_err() {
                    tracing::error!("starting a plugin's replacement panicked");
                }
            }
        })?;
        Ok(Background { jobs })
    }

    /// Hands a job over without waiting; it is dropped when the queue is full.
    pub(crate) fn try_run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), QueueFull> {
        self.jobs.try_send(Box::new(job)).map_err(|_| QueueFull)
    }
}

/// The queue is full; the job was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;
