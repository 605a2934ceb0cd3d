//! What a fake upstream has seen, and the requests that it holds.

use tokio::sync::watch;

use crate::patience::within;

/// What a fake upstream has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests whose head arrived.
    pub requests: usize,
    /// Connections accepted.
    pub connections: usize,
    /// Connections that are open.
    pub open: usize,
    /// Requests held until [`Upstream::release`].
    pub held: usize,
    /// Bytes of request bodies read by `/sink`.
    pub uploaded: u64,
    /// Bytes of reply bodies that `/stream` got rid of.
    pub streamed: u64,
}

/// What a fake upstream's connections share with the test.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    seen: watch::Sender<Seen>,
    releases: watch::Sender<u64>,
    cuts: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(name: &str) -> Self {
        Shared {
            name: name.to_owned(),
            seen: watch::Sender::default(),
            releases: watch::Sender::default(),
            cuts: watch::Sender::default(),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    pub(crate) async fn until(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut watcher = self.seen.subscribe();
        let what = format!("what upstream {} should see", self.name);
        *within(&what, watcher.wait_for(condition)).await.unwrap()
    }

    pub(crate) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// Breaks off the connections that there are.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Returns when the connections that there were at its beginning are broken off.
    pub(crate) async fn until_cut(&self) {
        let _gone = self.cuts.subscribe().changed().await;
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    /// Counts as held until released.
    pub(crate) async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        let _held = Counted::begin(self, |seen| &mut seen.held);
        let _gone = releases.changed().await;
    }
}

/// Counts something for as long as it lasts.
pub(crate) struct Counted<'a> {
    shared: &'a Shared,
    count: fn(&mut Seen) -> &mut usize,
}

impl<'a> Counted<'a> {
    pub(crate) fn begin(shared: &'a Shared, count: fn(&mut Seen) -> &mut usize) -> Self {
        shared.note(|seen| *count(seen) += 1);
        Counted { shared, count }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.shared.note(|seen| *(self.count)(seen) -= 1);
    }
}
