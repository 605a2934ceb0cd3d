//! The control threads that start replacements and drop what is dead, so that no worker ever does.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Work that waits at most on each lane; more is refused, and asked for again by who still needs it.
const MOST_WAITING: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// Two threads, each with a bounded queue. They end when this is dropped and their queues are empty.
pub(crate) struct Background {
    quick: SyncSender<Job>,
    slow: SyncSender<Job>,
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// What takes milliseconds.
    Quick,
    /// Starts of plugins that took long before: they hold up each other, and nobody else.
    Slow,
}

impl Background {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Background { quick: lane("plugin-starter")?, slow: lane("plugin-slow")? })
    }

    /// Hands a job over without waiting; it is dropped when the queue is full.
    pub(crate) fn try_run(
        &self,
        lane: Lane,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<(), QueueFull> {
        let jobs = match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
        };
        jobs.try_send(Box::new(job)).map_err(|_| QueueFull)
    }
}

fn lane(name: &str) -> io::Result<SyncSender<Job>> {
    let (jobs, waiting) = sync_channel::<Job>(MOST_WAITING);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Ok(job) = waiting.recv() {
            // One plugin's failure must not end the thread that all others rely on.
            let run = std::panic::AssertUnwindSafe(job);
            if std::panic::catch_unwind(|| { run }.0()).is_err() {
                tracing::error!("starting a plugin's replacement panicked");
            }
        }
    })?;
    Ok(jobs)
}

/// The queue is full; the job was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_slow_start_holds_up_no_quick_one() {
        let background = Background::start().unwrap();
        let (go_on, held) = channel::<()>();
        let (done, told) = channel();
        let slow = done.clone();
        let hold = move || {
            let _ = held.recv();
            slow.send("slow").unwrap();
        };
        background.try_run(Lane::Slow, hold).unwrap();
        background.try_run(Lane::Quick, || panic!("a bug of ours")).unwrap();
        background.try_run(Lane::Quick, move || done.send("quick").unwrap()).unwrap();
        assert_eq!(told.recv(), Ok("quick"));
        go_on.send(()).unwrap();
        assert_eq!(told.recv(), Ok("slow"));
    }
}
