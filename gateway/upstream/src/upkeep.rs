//! The one task that keeps every cluster's rotation up with its endpoints' condition.

use std::sync::Weak;

use rustc_hash::FxHashMap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

/// Looks after clusters that ask for it: an endpoint was ejected, its time is over, a health check found
/// something, endpoints warm up. It sleeps while nothing of that is so. For the control runtime.
pub struct Upkeep {
    asked: UnboundedReceiver<Weak<dyn Kept>>,
    /// When to look again, and at whom, by address.
    due: FxHashMap<usize, (Instant, Weak<dyn Kept>)>,
}

/// A way to ask for upkeep, for clusters.
#[derive(Clone, Debug)]
pub struct AskForUpkeep(UnboundedSender<Weak<dyn Kept>>);

/// What is kept up.
pub(crate) trait Kept: Send + Sync {
    /// Brings it up to this moment, and says when it has to be again.
    fn keep_up(&self, now: Instant) -> Option<Instant>;
}

impl AskForUpkeep {
    /// Asks from any thread, without waiting; says whether there is somebody who hears it.
    pub(crate) fn ask(&self, whom: Weak<dyn Kept>) -> bool {
        self.0.send(whom).is_ok()
    }
}

impl Upkeep {
    /// An upkeep, to be [run](Upkeep::run), and the way to ask for it.
    pub fn new() -> (Upkeep, AskForUpkeep) {
        let (ask, asked) = unbounded_channel();
        (Upkeep { asked, due: FxHashMap::default() }, AskForUpkeep(ask))
    }

    /// Looks after clusters until none is left that could ask.
    pub async fn run(mut self) {
        loop {
            let next = self.due.values().map(|(when, _)| *when).min();
            tokio::select! {
                asked = self.asked.recv() => match asked {
                    Some(whom) => self.keep_up(whom, Instant::now()),
                    None => return,
                },
                () = until(next) => self.keep_up_due(Instant::now()),
            }
        }
    }

    fn keep_up_due(&mut self, now: Instant) {
        let due = self.due.extract_if(|_, (when, _)| *when <= now);
        let due: Vec<_> = due.map(|(_, (_, whom))| whom).collect();
        for whom in due {
            self.keep_up(whom, now);
        }
    }

    fn keep_up(&mut self, whom: Weak<dyn Kept>, now: Instant) {
        let key = whom.as_ptr().cast::<()>() as usize;
        self.due.remove(&key);
        if let Some(next) = whom.upgrade().and_then(|kept| kept.keep_up(now)) {
            self.due.insert(key, (next, whom));
        }
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}
