//! Says when an author has saved something.

use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::author_error::AuthorError;

/// Editors write several files, or one several times: what comes that soon after is the same change.
const QUIET: Duration = Duration::from_millis(30);
/// What of a project is compiled or read.
const WATCHED: [&str; 5] = ["src", "Cargo.toml", "plugin.yaml", "tests", "sdk/src"];

/// The watch of one project; it ends when dropped.
pub(crate) struct SourceWatch {
    events: mpsc::UnboundedReceiver<()>,
    /// Something was saved, and nobody has been told.
    is_untold: bool,
    _watcher: RecommendedWatcher,
}

impl SourceWatch {
    /// Watches a project's sources.
    ///
    /// # Errors
    /// The system has no watches left, or the folder is gone.
    pub(crate) fn start(folder: &Path) -> Result<Self, AuthorError> {
        let failed = |error: notify::Error| {
            AuthorError::Failure(format!("{} cannot be watched: {error}", folder.display()))
        };
        let (sender, events) = mpsc::unbounded_channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|event| is_change(&event)) {
                    // Nobody listens any more when the command is ending.
                    let _ = sender.send(());
                }
            })
            .map_err(failed)?;
        // The folder itself is watched for files that editors replace, and never below it: builds write there.
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
        for name in WATCHED {
            let path = folder.join(name);
            if path.is_dir() {
                watcher.watch(&path, RecursiveMode::Recursive).map_err(failed)?;
            }
        }
        Ok(SourceWatch { events, is_untold: false, _watcher: watcher })
    }

    /// Waits until something was saved, and then for a moment of quiet. Whoever stops waiting misses nothing.
    pub(crate) async fn changed(&mut self) {
        if !self.is_untold && self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.is_untold = true;
        while let Ok(Some(())) = timeout_at(Instant::now() + QUIET, self.events.recv()).await {}
        self.is_untold = false;
    }
}

/// Something was written, not only looked at; and neither by a build nor by an editor for itself.
fn is_change(event: &notify::Event) -> bool {
    let ours = |path: &std::path::PathBuf| {
        path.extension()
            .is_some_and(|ending| ["rs", "toml", "yaml"].iter().any(|known| ending == *known))
    };
    !event.kind.is_access() && event.paths.iter().any(ours)
}
