//! Watching directories, never files: an editor that renames a new file over the old leaves a file's watch
//! on what nobody can see any more.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::inbox::Inbox;

/// The directories that are watched.
pub(crate) struct DirectoryWatch {
    watcher: Option<RecommendedWatcher>,
    /// By device and inode: a directory that was replaced needs a new watch.
    watched: HashMap<PathBuf, (u64, u64)>,
    inbox: Arc<Inbox>,
    health: Health,
}

/// Whether changes are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// They are.
    Watching,
    /// Some are not: one has to look from time to time.
    Degraded,
}

/// Whether a directory is watched that was not before, so that what happened in it meanwhile was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Nothing is new.
    AsBefore,
    /// Something is.
    Newly,
}

impl DirectoryWatch {
    /// Watches nothing yet.
    pub(crate) fn start(inbox: Arc<Inbox>) -> Self {
        let target = Arc::clone(&inbox);
        let mut watch = DirectoryWatch {
            watcher: None,
            watched: HashMap::new(),
            inbox,
            health: Health::Watching,
        };
        match notify::recommended_watcher(move |event| target.note(event)) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.degrade(&error.to_string()),
        }
        watch
    }

    /// Never watches, as where the operating system refuses to.
    #[cfg(test)]
    pub(crate) fn refused(inbox: Arc<Inbox>) -> Self {
        let watched = HashMap::new();
        DirectoryWatch { watcher: None, watched, inbox, health: Health::Degraded }
    }

    /// Watches exactly these directories.
    pub(crate) fn follow(&mut self, wanted: &HashSet<PathBuf>) -> Followed {
        for lost in self.inbox.take_lost() {
            self.watched.remove(&lost);
        }
        let unwanted: Vec<_> =
            self.watched.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in unwanted {
            self.drop_watch(&path);
        }
        let mut followed = Followed::AsBefore;
        for path in wanted {
            if self.add_watch(path) == Followed::Newly {
                followed = Followed::Newly;
            }
        }
        followed
    }

    /// Whether changes are told of.
    pub(crate) fn health(&mut self) -> Health {
        if let Some(reason) = self.inbox.take_broken() {
            self.degrade(&reason);
        }
        self.health
    }

    fn add_watch(&mut self, path: &Path) -> Followed {
        let Ok(metadata) = std::fs::metadata(path) else { return Followed::AsBefore };
        let identity = (metadata.dev(), metadata.ino());
        if !metadata.is_dir() || self.watched.get(path) == Some(&identity) {
            return Followed::AsBefore;
        }
        self.drop_watch(path);
        let Some(watcher) = &mut self.watcher else { return Followed::AsBefore };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path.to_owned(), identity);
                Followed::Newly
            }
            // It went away just now, which its parent tells.
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                Followed::AsBefore
            }
            Err(error) => {
                self.degrade(&error.to_string());
                Followed::AsBefore
            }
        }
    }

    fn drop_watch(&mut self, path: &Path) {
        self.watched.remove(path);
        if let Some(watcher) = &mut self.watcher {
            // Without a watch there is nothing to end, and that is what we want.
            let _ = watcher.unwatch(path);
        }
    }

    fn degrade(&mut self, reason: &str) {
        if self.health == Health::Watching {
            tracing::warn!(
                reason,
                "configuration files cannot all be watched, so they are looked at every few seconds; \
                 raising fs.inotify.max_user_watches and max_user_instances may help"
            );
        }
        self.health = Health::Degraded;
    }
}
