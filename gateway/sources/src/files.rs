//! The files source: reads files and directories of manifests, and again whenever they change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_manifests::Draft;
use portcullis_model::Problem;

use crate::contents::{Contents, Findings, Unsettled};
use crate::inbox::{Changes, Inbox, Settled, Timing};
use crate::scan::{FileState, Scan, ScannedFile, scan};
use crate::watch::{DirectoryWatch, Followed, Health};

/// Watching a directory can add directories to watch; so often the scan is repeated for them.
const MOST_SCANS: usize = 8;

/// Watches configured files and directories. Await [`FileSource::latest_draft`] in a loop.
///
/// It runs on the control runtime: reading is blocking.
pub struct FileSource {
    roots: Vec<PathBuf>,
    extras: BTreeSet<PathBuf>,
    inbox: Arc<Inbox>,
    watch: DirectoryWatch,
    timing: Timing,
    contents: Vec<Contents>,
    problems: Vec<Problem>,
    draft: Option<Arc<Draft>>,
    /// The further files as they were when last handed on.
    extra_stamps: Vec<FileState>,
    /// When the files were looked at whose draft was handed on last.
    handed_on: SystemTime,
    polls: Polls,
}

/// A configuration as it is written now.
#[derive(Clone, Debug)]
pub struct Update {
    /// All files, parsed.
    pub draft: Arc<Draft>,
    /// What could not be read. Problems within the files are the draft's own.
    pub problems: Vec<Problem>,
    /// Why it is handed on.
    pub cause: Cause,
    /// Those of the further files (see [`FileSource::watch_also`]) that have changed; on a reload all.
    pub changed_files: Vec<PathBuf>,
}

/// Why a configuration is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The first read.
    Start,
    /// Something changed.
    Change,
    /// A reload was asked for; perhaps nothing changed.
    Reload,
}

/// Asks a source to read everything again, from any thread.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    inbox: Arc<Inbox>,
}

impl ReloadHandle {
    /// Asks for a reload. Any number of requests before it is carried out are one.
    pub fn reload(&self) {
        self.inbox.request_reload();
    }
}

impl FileSource {
    /// Watches these files and directories; nothing is read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        FileSource::with_timing(paths, Timing::default())
    }

    /// Waits for the configuration that differs from the one handed on last, and hands on only the newest.
    /// The first call answers at once, and so does one after a reload was asked for.
    ///
    /// May be dropped while it waits; nothing is lost.
    pub async fn latest_draft(&mut self) -> Update {
        loop {
            let occasion = self.next_occasion().await;
            if let Some(update) = self.read(occasion) {
                return update;
            }
        }
    }

    /// Watches further files, instead of those of the last call: the local modules that plugins name. A
    /// change of one is handed on as an update with an unchanged draft.
    ///
    /// A file that changed since the last draft was handed on counts as changed, so it does not matter
    /// whether this is called before or after the files are read.
    pub fn watch_also(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let paths: BTreeSet<_> = paths.into_iter().collect();
        if paths == self.extras {
            return;
        }
        let known = std::mem::take(&mut self.extra_stamps);
        self.extras = paths;
        let scan = self.scan_and_watch();
        self.extra_stamps = scan.extras.iter().map(|file| self.told_of(file, &known)).collect();
    }

    /// The state of a further file that was told of. One that was watched before keeps its stamp: a change
    /// that nobody has been told of stays one.
    fn told_of(&self, file: &ScannedFile, known: &[FileState]) -> FileState {
        let is_known = known.iter().any(|(path, _)| *path == file.path);
        let since = self.handed_on - self.timing.quiet;
        if is_known || file.stamp.is_none_or(|stamp| !stamp.changed_after(since)) {
            return stamp_of(file, known);
        }
        self.inbox.put_off(None, Instant::now());
        (file.path.clone(), None)
    }

    /// To ask for a reload from elsewhere.
    pub fn reload_handle(&self) -> ReloadHandle {
        ReloadHandle { inbox: Arc::clone(&self.inbox) }
    }

    pub(crate) fn with_timing(paths: Vec<PathBuf>, timing: Timing) -> Self {
        let inbox = Arc::new(Inbox::default());
        FileSource {
            contents: vec![Contents::default(); paths.len()],
            roots: paths,
            extras: BTreeSet::new(),
            watch: DirectoryWatch::start(Arc::clone(&inbox)),
            inbox,
            timing,
            problems: Vec::new(),
            draft: None,
            extra_stamps: Vec::new(),
            handed_on: SystemTime::UNIX_EPOCH,
            polls: Polls::default(),
        }
    }

    /// As where the operating system refuses to watch.
    #[cfg(test)]
    pub(crate) fn polling(paths: Vec<PathBuf>, timing: Timing) -> Self {
        let mut source = FileSource::with_timing(paths, timing);
        source.watch = DirectoryWatch::refused(Arc::clone(&source.inbox));
        source
    }

    async fn next_occasion(&mut self) -> Occasion {
        if self.draft.is_none() {
            return Occasion::Start;
        }
        loop {
            if self.inbox.take_reload() {
                return Occasion::Reload;
            }
            let wake = match self.inbox.settle(&self.timing) {
                Settled::Now(changes) => return Occasion::Change(changes),
                Settled::Later(at) => Some(at),
                Settled::Nothing => None,
            };
            if self.watch.health() == Health::Degraded {
                let due = self.polls.due(&self.timing);
                if due <= Instant::now() {
                    self.polls.last = Some(Instant::now());
                    return Occasion::Poll;
                }
                self.wait_until(Some(wake.map_or(due, |at| at.min(due)))).await;
            } else {
                self.wait_until(wake).await;
            }
        }
    }

    async fn wait_until(&self, wake: Option<Instant>) {
        match wake {
            None => self.inbox.arrival().await,
            // Running into the time is as good as an arrival.
            Some(at) => drop(tokio::time::timeout_at(at.into(), self.inbox.arrival()).await),
        }
    }

    /// Reads everything; `None` where nothing is different.
    fn read(&mut self, occasion: Occasion) -> Option<Update> {
        let looked_at = SystemTime::now();
        let scan = self.scan_and_watch();
        if matches!(occasion, Occasion::Poll) && !self.polls.is_settled_change(&scan) {
            return None;
        }
        let (cause, changes) = match occasion {
            Occasion::Start => (Cause::Start, self.inbox.take_changes()),
            Occasion::Reload => (Cause::Reload, self.inbox.take_changes()),
            Occasion::Change(changes) => (Cause::Change, changes),
            Occasion::Poll => (Cause::Change, self.inbox.take_changes()),
        };
        let (contents, problems) = self.read_contents(&scan, &changes, cause);
        let mut changed_files = self.changed_extras(&scan, &changes);
        if cause == Cause::Reload {
            changed_files = self.extras.iter().cloned().collect();
        }
        let renewed = self.renew_draft(contents) == Renewed::Another;
        let news = renewed || problems != self.problems || !changed_files.is_empty();
        self.problems = problems;
        let draft = self.draft.clone()?;
        if !news && cause == Cause::Change {
            return None;
        }
        self.handed_on = looked_at;
        Some(Update { draft, problems: self.problems.clone(), cause, changed_files })
    }

    /// What happens in a directory before it is watched is not told, so a new watch needs another look.
    fn scan_and_watch(&mut self) -> Scan {
        let mut latest = scan(&self.roots, &self.extras);
        for _ in 0..MOST_SCANS {
            self.inbox.set_interest(&latest.interest);
            if self.watch.follow(&latest.interest.watched()) == Followed::AsBefore {
                break;
            }
            latest = scan(&self.roots, &self.extras);
        }
        latest
    }

    fn read_contents(
        &self,
        scan: &Scan,
        changes: &Changes,
        cause: Cause,
    ) -> (Vec<Contents>, Vec<Problem>) {
        let unsettled = self.unsettled(changes, cause);
        let mut findings = Findings::default();
        let roots = self.roots.iter().zip(&scan.roots).zip(&self.contents);
        let contents = roots
            .map(|((root, found), last)| last.read(root, found, &unsettled, &mut findings))
            .collect();
        if findings.look_again {
            self.inbox.put_off(changes.since, Instant::now() + self.timing.quiet);
        }
        (contents, findings.problems)
    }

    /// Somebody may truncate a file just before we read it, and the word of it reach us just after: what
    /// was written to within the quiet is left for the next look. Not so at the start, when there is
    /// nothing better to serve, nor for ever where the writing has no end.
    fn unsettled(&self, changes: &Changes, cause: Cause) -> Unsettled<'_> {
        let Timing { quiet, patience, .. } = self.timing;
        let is_over = changes.since.is_some_and(|since| since + patience < Instant::now());
        let (quiet, quiet_when_empty) = match cause {
            Cause::Start => (Duration::ZERO, Duration::ZERO),
            Cause::Change | Cause::Reload if is_over => (Duration::ZERO, patience),
            Cause::Change | Cause::Reload => (quiet, patience),
        };
        Unsettled { inbox: &self.inbox, quiet, quiet_when_empty }
    }

    /// Parses what was read, unless it is what was read before.
    fn renew_draft(&mut self, contents: Vec<Contents>) -> Renewed {
        if self.draft.is_some() && contents == self.contents {
            return Renewed::AsBefore;
        }
        self.contents = contents;
        let files = self.contents.iter().flat_map(Contents::source_files).collect();
        let draft = match self.draft.as_deref() {
            Some(previous) => Draft::read_with(files, previous),
            None => Draft::read(files),
        };
        self.draft = Some(Arc::new(draft));
        Renewed::Another
    }

    /// The further files that are others than when last handed on; one that is being written is not yet.
    fn changed_extras(&mut self, scan: &Scan, changes: &Changes) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        let known = std::mem::take(&mut self.extra_stamps);
        for file in &scan.extras {
            let before = stamp_of(file, &known);
            if changes.unfinished.contains(&file.real) {
                self.extra_stamps.push(before);
                continue;
            }
            // Two writes within one tick of the file system's clock have one stamp.
            if before.1 != file.stamp || changes.written.contains(&file.real) {
                changed.push(file.path.clone());
            }
            self.extra_stamps.push((file.path.clone(), file.stamp));
        }
        changed
    }
}

/// A file's last known stamp, or its present one where it was not known.
fn stamp_of(file: &ScannedFile, known: &[FileState]) -> FileState {
    let last = known.iter().find(|(path, _)| *path == file.path).cloned();
    last.unwrap_or_else(|| (file.path.clone(), file.stamp))
}

/// Why to read.
enum Occasion {
    Start,
    Change(Changes),
    Reload,
    Poll,
}

/// Whether there is another draft than before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renewed {
    AsBefore,
    Another,
}

/// Looking from time to time, where changes are not told of.
#[derive(Debug, Default)]
struct Polls {
    last: Option<Instant>,
    /// The state at the last look.
    seen: Vec<FileState>,
    /// The state that was last read.
    read: Vec<FileState>,
}

impl Polls {
    fn due(&self, timing: &Timing) -> Instant {
        self.last.map_or_else(Instant::now, |last| last + timing.poll)
    }

    /// Whether something is other than when last read, and the same as at the last look: what changes
    /// between two looks may be half written.
    fn is_settled_change(&mut self, scan: &Scan) -> bool {
        let stamps = scan.stamps();
        let settled = stamps == self.seen && stamps != self.read;
        if settled {
            self.read.clone_from(&stamps);
        }
        self.seen = stamps;
        settled
    }
}
