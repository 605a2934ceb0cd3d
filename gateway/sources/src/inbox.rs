//! What the operating system tells of changes, folded into one small state until it is time to read.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::interest::Interest;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Nothing has happened for so long: a burst is over.
    pub(crate) quiet: Duration,
    /// The longest that a burst, or a file that stays open, holds back the others.
    pub(crate) patience: Duration,
    /// A file that was changed and not closed for so long will not be: it was changed without being
    /// opened, or its closing was missed.
    pub(crate) abandoned: Duration,
    /// How often to look where watching does not work.
    pub(crate) poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            quiet: Duration::from_millis(10),
            patience: Duration::from_millis(250),
            abandoned: Duration::from_secs(5),
            poll: Duration::from_secs(2),
        }
    }
}

/// Whether it is time to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nothing has happened.
    Nothing,
    /// Something has; ask again then.
    Later(Instant),
    /// It is.
    Now(Changes),
}

/// What happened since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Files that somebody is writing: what they hold now is half of something.
    pub(crate) unfinished: HashSet<PathBuf>,
    /// Entries that were certainly written or put there.
    pub(crate) written: HashSet<PathBuf>,
    /// When the first of them happened.
    pub(crate) since: Option<Instant>,
}

/// Shared by the watcher's thread, which puts changes in, and the source, which takes them out. Control
/// side only: nothing on a request's path waits for it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    interest: Interest,
    /// When the first and the latest change came that nobody has taken yet.
    burst: Option<(Instant, Instant)>,
    /// A burst that was put off is not over before.
    not_before: Option<Instant>,
    /// Files that were changed and not yet closed, and when they were last changed.
    writing: HashMap<PathBuf, Instant>,
    written: HashSet<PathBuf>,
    /// Watched directories that went away, and their watch with them.
    lost: HashSet<PathBuf>,
    broken: Option<String>,
    reload: bool,
}

impl Inbox {
    /// Sets what is kept of what comes; the rest is dropped at once, so that a busy directory costs nothing.
    pub(crate) fn set_interest(&self, interest: &Interest) {
        let mut state = self.state.lock();
        if state.interest != *interest {
            state.interest = interest.clone();
        }
    }

    /// Takes in what the watcher reports.
    pub(crate) fn note(&self, event: notify::Result<notify::Event>) {
        let news = match event {
            Ok(event) => self.state.lock().note(&event, Instant::now()),
            Err(error) => {
                self.state.lock().broken = Some(error.to_string());
                true
            }
        };
        if news {
            self.arrived.notify_one();
        }
    }

    /// Asks for a reload; any number before it is carried out are one.
    pub(crate) fn request_reload(&self) {
        self.state.lock().reload = true;
        self.arrived.notify_one();
    }

    /// Whether one was asked for since the last time.
    pub(crate) fn take_reload(&self) -> bool {
        std::mem::take(&mut self.state.lock().reload)
    }

    /// The directories whose watch was lost since the last time.
    pub(crate) fn take_lost(&self) -> HashSet<PathBuf> {
        std::mem::take(&mut self.state.lock().lost)
    }

    /// What went wrong with watching since the last time.
    pub(crate) fn take_broken(&self) -> Option<String> {
        self.state.lock().broken.take()
    }

    /// Whether it is time to read.
    pub(crate) fn settle(&self, timing: &Timing) -> Settled {
        self.state.lock().settle(Instant::now(), timing)
    }

    /// What happened so far, settled or not.
    pub(crate) fn take_changes(&self) -> Changes {
        self.state.lock().take_changes()
    }

    /// Whether somebody has begun to write a file and not closed it yet.
    pub(crate) fn is_being_written(&self, file: &Path) -> bool {
        self.state.lock().writing.contains_key(file)
    }

    /// Says that a burst which seemed over is not, and when to look again.
    pub(crate) fn put_off(&self, since: Option<Instant>, until: Instant) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let (first, latest) = state.burst.unwrap_or((now, now));
        state.burst = Some((since.map_or(first, |since| since.min(first)), latest));
        state.not_before = Some(until);
    }

    /// Waits until something comes.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

impl State {
    /// Whether the event changes anything for us.
    fn note(&mut self, event: &notify::Event, now: Instant) -> bool {
        let mut news = false;
        if event.need_rescan() {
            // The kernel dropped events, perhaps that of a file's closing.
            self.writing.clear();
            news = true;
        }
        for path in &event.paths {
            news |= self.note_path(event.kind, path, now);
        }
        if news {
            self.burst = Some((self.burst.map_or(now, |(first, _)| first), now));
        }
        news
    }

    fn note_path(&mut self, kind: EventKind, path: &Path, now: Instant) -> bool {
        match kind {
            // Our own reading opens files.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.writing.remove(path);
                let concerns = self.interest.holds_content(path);
                if concerns && self.interest.names(path) {
                    self.written.insert(path.to_owned());
                }
                concerns
            }
            EventKind::Access(_) => false,
            EventKind::Modify(ModifyKind::Data(_)) => {
                let concerns = self.interest.holds_content(path);
                if concerns {
                    self.writing.insert(path.to_owned(), now);
                }
                concerns
            }
            EventKind::Create(CreateKind::File) => {
                if self.interest.holds_content(path) && is_being_written(path) {
                    self.writing.insert(path.to_owned(), now);
                }
                self.interest.holds(path)
            }
            _ => self.note_entry(kind, path),
        }
    }

    /// An entry came, went, or is another one now.
    fn note_entry(&mut self, kind: EventKind, path: &Path) -> bool {
        match kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.writing.remove(path);
                let watched = self.interest.watches(path);
                if watched {
                    self.lost.insert(path.to_owned());
                }
                watched || self.interest.holds(path)
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                self.writing.remove(path);
                if self.interest.names(path) {
                    self.written.insert(path.to_owned());
                }
                self.interest.holds(path)
            }
            _ => self.interest.holds(path),
        }
    }

    fn settle(&mut self, now: Instant, timing: &Timing) -> Settled {
        let before = self.writing.len();
        self.writing.retain(|_, since| now < *since + timing.abandoned);
        if self.writing.len() < before && self.burst.is_none() {
            return Settled::Now(self.take_changes());
        }
        let Some((first, latest)) = self.burst else {
            let abandoned = self.writing.values().min().map(|since| *since + timing.abandoned);
            return abandoned.map_or(Settled::Nothing, Settled::Later);
        };
        let at_the_latest = first + timing.patience;
        let due = if self.writing.is_empty() {
            at_the_latest.min(latest + timing.quiet)
        } else {
            at_the_latest
        };
        let due = self.not_before.map_or(due, |not_before| due.max(not_before));
        if now < due { Settled::Later(due) } else { Settled::Now(self.take_changes()) }
    }

    fn take_changes(&mut self) -> Changes {
        self.not_before = None;
        Changes {
            unfinished: self.writing.keys().cloned().collect(),
            written: std::mem::take(&mut self.written),
            since: self.burst.take().map(|(first, _)| first),
        }
    }
}

/// A new file will be closed by who made it; a new link of either kind is whole at once.
fn is_being_written(path: &Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{DataChange, Flag, RemoveKind};

    use super::*;

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));

    fn state() -> State {
        let mut state = State::default();
        state.interest.add_directory(Path::new("/c"));
        state.interest.add_entry("/modules/x.wasm".into());
        state
    }

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    fn settled(state: &mut State, at: Instant) -> Option<Changes> {
        match state.settle(at, &Timing::default()) {
            Settled::Now(changes) => Some(changes),
            Settled::Nothing | Settled::Later(_) => None,
        }
    }

    #[test]
    fn a_burst_is_over_after_quiet() {
        let (mut state, start) = (state(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(state.settle(start, &Timing::default()), Settled::Nothing);
        assert!(state.note(&event(RENAMED, "/c/a.yaml"), start));
        assert!(state.note(&event(RENAMED, "/c/b.yaml"), after(9)));
        assert_eq!(state.settle(after(10), &Timing::default()), Settled::Later(after(19)));
        assert!(settled(&mut state, after(19)).is_some());
        assert_eq!(state.settle(after(20), &Timing::default()), Settled::Nothing);
    }

    #[test]
    fn an_endless_burst_is_read_in_between() {
        let (mut state, start) = (state(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        for step in 0..50 {
            state.note(&event(RENAMED, "/c/a.yaml"), after(step * 5));
            assert_eq!(settled(&mut state, after(step * 5)), None);
        }
        assert!(settled(&mut state, after(250)).is_some());
    }

    #[test]
    fn what_was_put_off_is_not_read_at_once_however_old_the_burst() {
        let inbox = Inbox::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        inbox.put_off(now.checked_sub(Duration::from_secs(1)), later);
        assert_eq!(inbox.settle(&Timing::default()), Settled::Later(later));
    }

    #[test]
    fn an_open_file_holds_back_the_others_for_a_while_and_itself_until_it_is_closed() {
        let (mut state, start) = (state(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        state.note(&event(WRITE, "/c/a.yaml"), start);
        assert_eq!(settled(&mut state, after(249)), None);
        let changes = settled(&mut state, after(250)).unwrap();
        assert_eq!(changes.unfinished, HashSet::from(["/c/a.yaml".into()]));
        assert!(state.note(&event(CLOSE, "/c/a.yaml"), after(400)));
        assert_eq!(settled(&mut state, after(410)).unwrap().unfinished, HashSet::new());
    }

    #[test]
    fn a_file_that_is_never_closed_is_read_in_the_end() {
        let (mut state, start) = (state(), Instant::now());
        state.note(&event(WRITE, "/c/a.yaml"), start);
        settled(&mut state, start + Duration::from_millis(250)).unwrap();
        let end = start + Duration::from_secs(5);
        assert_eq!(state.settle(start, &Timing::default()), Settled::Later(end));
        assert_eq!(settled(&mut state, end).unwrap().unfinished, HashSet::new());
    }

    #[test]
    fn what_does_not_concern_us_is_dropped() {
        let (mut state, now) = (state(), Instant::now());
        assert!(!state.note(&event(WRITE, "/c/.a.yaml.swp"), now));
        assert!(!state.note(&event(RENAMED, "/modules/other.wasm"), now));
        assert!(!state.note(&event(EventKind::Remove(RemoveKind::File), "/tmp/x.yaml"), now));
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(!state.note(&event(open, "/c/a.yaml"), now));
        assert!(state.lost.is_empty() && state.writing.is_empty());
    }

    #[test]
    fn a_watched_directory_that_goes_takes_its_watch_along() {
        let mut state = state();
        let gone = event(EventKind::Remove(RemoveKind::Folder), "/modules");
        assert!(state.note(&gone, Instant::now()));
        assert_eq!(state.lost, HashSet::from(["/modules".into()]));
    }

    #[test]
    fn a_module_that_was_written_is_named() {
        let (mut state, now) = (state(), Instant::now());
        state.note(&event(WRITE, "/modules/x.wasm"), now);
        state.note(&event(CLOSE, "/modules/x.wasm"), now);
        let changes = settled(&mut state, now + Duration::from_millis(10)).unwrap();
        assert_eq!(changes.written, HashSet::from(["/modules/x.wasm".into()]));
    }

    #[test]
    fn dropped_events_are_a_change() {
        let (mut state, now) = (state(), Instant::now());
        state.note(&event(WRITE, "/c/a.yaml"), now);
        assert!(state.note(&Event::new(EventKind::Other).set_flag(Flag::Rescan), now));
        assert!(settled(&mut state, now + Duration::from_millis(10)).is_some());
    }
}
