//! Work that somebody wants, until they do not.

use tokio::sync::watch;

/// Held by whoever wants the work done; dropped, it ends the work.
#[derive(Debug)]
pub struct Wanted {
    _held: watch::Sender<()>,
}

/// Asked by the work.
#[derive(Clone, Debug)]
pub struct Abandoned {
    held: watch::Receiver<()>,
}

impl Wanted {
    /// A pair for one piece of work.
    pub fn new() -> (Self, Abandoned) {
        let (sender, held) = watch::channel(());
        (Wanted { _held: sender }, Abandoned { held })
    }
}

impl Abandoned {
    /// Whether nobody wants it any more.
    pub fn is_so(&self) -> bool {
        self.held.has_changed().is_err()
    }

    /// Until nobody wants it any more.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent; it ends with the sender.
        while self.held.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_abandoned_with_whoever_wanted_it() {
        let (wanted, abandoned) = Wanted::new();
        assert!(!abandoned.is_so());
        drop(wanted);
        assert!(abandoned.is_so());
    }
}
