//! Reading the files that a scan found; what cannot be read keeps its last good text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_manifests::{SourceFile, codes};
use portcullis_model::{Code, Origin, Problem, Severity};

use crate::inbox::Inbox;
use crate::scan::{Found, Listing, ScannedFile};

/// Larger files are no manifests.
const LARGEST: u64 = 64 << 20;
/// More files are no configuration.
const MOST_FILES: usize = 10_000;

/// Which files are not to be taken as they are, because what they hold may be half of something.
#[derive(Debug)]
pub(crate) struct Unsettled<'a> {
    /// Knows which files somebody is writing.
    pub(crate) inbox: &'a Inbox,
    /// How long nothing must have been written to a file: word of it may not have reached us yet.
    pub(crate) quiet: Duration,
    /// The same for a file with nothing in it, which is the first half of most changes.
    pub(crate) quiet_when_empty: Duration,
}

impl Unsettled<'_> {
    fn holds(&self, file: &ScannedFile, reading: &FileText) -> bool {
        let quiet = if is_blank(&reading.text) { self.quiet_when_empty } else { self.quiet };
        reading.age < quiet || self.inbox.is_being_written(&file.real)
    }
}

/// What reading brought up.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    /// Files were passed over of which no further word may come.
    pub(crate) look_again: bool,
}

/// What one configured path holds: the last good text of each file, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    texts: BTreeMap<PathBuf, Arc<str>>,
}

impl Contents {
    /// Reads what was found at a configured path. Of what cannot be read now the last good state stands,
    /// and so it does where a whole directory vanished or is suddenly empty.
    pub(crate) fn read(
        &self,
        root: &Path,
        found: &Found,
        unsettled: &Unsettled,
        findings: &mut Findings,
    ) -> Contents {
        let mut reading = Reading { last: self, unsettled, next: Contents::default(), findings };
        match found {
            Found::Nothing(error) => {
                return reading.keep_all(root, &format!("cannot be read: {error}"));
            }
            Found::File(file) => reading.read_file(file),
            Found::Directory(listing) if listing.files.len() > MOST_FILES => {
                return reading.refuse(root, listing);
            }
            Found::Directory(listing) => reading.read_directory(listing),
        }
        if reading.next.is_blank() && !self.is_blank() {
            return reading.keep_all(root, "is suddenly empty");
        }
        reading.next
    }

    /// The files in the order of their paths, as manifests are read.
    pub(crate) fn source_files(&self) -> impl Iterator<Item = SourceFile> {
        self.texts.iter().map(|(path, text)| SourceFile {
            path: path.display().to_string().into(),
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            text: Arc::clone(text),
        })
    }

    /// Whether nothing at all is written here.
    fn is_blank(&self) -> bool {
        self.texts.values().all(|text| is_blank(text))
    }
}

fn is_blank(text: &str) -> bool {
    text.trim_ascii().is_empty()
}

/// One configured path being read.
struct Reading<'a> {
    last: &'a Contents,
    unsettled: &'a Unsettled<'a>,
    next: Contents,
    findings: &'a mut Findings,
}

impl Reading<'_> {
    fn read_directory(&mut self, listing: &Listing) {
        for (directory, error) in &listing.closed {
            let message = format!("the directory cannot be read: {error}");
            self.report(codes::FILE_UNREADABLE, directory, message, KEEPS_FILES);
            let below = self.last.texts.iter().filter(|(path, _)| path.starts_with(directory));
            self.next.texts.extend(below.map(|(path, text)| (path.clone(), Arc::clone(text))));
        }
        for file in &listing.files {
            self.read_file(file);
        }
    }

    fn read_file(&mut self, file: &ScannedFile) {
        match read_text(&file.path) {
            Ok(reading) if self.unsettled.holds(file, &reading) => self.put_off(file),
            Err(Unreadable::Changing) => self.put_off(file),
            Ok(FileText { text, .. }) => {
                // An unchanged text is shared with the last state, not kept twice.
                let text = match self.last.texts.get(&file.path) {
                    Some(last) if **last == *text => Arc::clone(last),
                    _ => text.into(),
                };
                self.next.texts.insert(file.path.clone(), text);
            }
            Err(Unreadable::Gone) => {}
            Err(Unreadable::TooLarge) => {
                let message = format!("the file is larger than {} MiB", LARGEST >> 20);
                self.report(
                    codes::FILE_TOO_LARGE,
                    &file.path,
                    message,
                    "split it; until then what was last read of it serves on",
                );
                self.keep(&file.path);
            }
            Err(Unreadable::Failed(reason)) => {
                self.report(
                    codes::FILE_UNREADABLE,
                    &file.path,
                    format!("the file {reason}"),
                    KEEPS_FILE,
                );
                self.keep(&file.path);
            }
        }
    }

    fn put_off(&mut self, file: &ScannedFile) {
        if !self.unsettled.inbox.is_being_written(&file.real) {
            self.findings.look_again = true;
        }
        self.keep(&file.path);
    }

    fn keep(&mut self, path: &Path) {
        if let Some(text) = self.last.texts.get(path) {
            self.next.texts.insert(path.to_owned(), Arc::clone(text));
        }
    }

    fn keep_all(mut self, root: &Path, what: &str) -> Contents {
        let help = if self.last.is_blank() {
            "check the path given to --config; it is read as soon as it is there"
        } else {
            "its last good state serves on; a file is deleted by removing it while others stay"
        };
        self.report(codes::SOURCE_GONE, root, what.to_owned(), help);
        self.last.clone()
    }

    /// So many files that something else was meant: the last good state, and before there is one the first
    /// of them.
    fn refuse(mut self, root: &Path, listing: &Listing) -> Contents {
        let count = listing.files.len();
        let message = format!("{count} manifest files, where at most {MOST_FILES} are read");
        let help = "point --config to the manifests alone, or put more objects into each file";
        self.report(codes::TOO_MANY_FILES, root, message, help);
        if !self.last.is_blank() {
            return self.last.clone();
        }
        listing.files.iter().take(MOST_FILES).for_each(|file| self.read_file(file));
        self.next
    }

    fn report(&mut self, code: Code, path: &Path, message: String, help: &str) {
        self.findings.problems.push(Problem {
            code,
            severity: Severity::Error,
            object: None,
            field: String::new(),
            origin: Origin { file: path.display().to_string().into(), line: 1, column: 1 },
            message,
            help: help.to_owned(),
        });
    }
}

const KEEPS_FILE: &str =
    "let the gateway's user read it; until then what was last read of it serves on";
const KEEPS_FILES: &str =
    "let the gateway's user list it; until then what was last read of it serves on";

enum Unreadable {
    /// Deleted since the scan.
    Gone,
    /// It changed under our eyes.
    Changing,
    TooLarge,
    Failed(String),
}

/// What a file holds.
struct FileText {
    text: String,
    /// How long ago it was written to; a time in the future comes from another clock and tells nothing.
    age: Duration,
}

fn read_text(path: &Path) -> Result<FileText, Unreadable> {
    let failed = |error: io::Error| match std::fs::symlink_metadata(path) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Unreadable::Gone,
        _ => Unreadable::Failed(format!("cannot be read: {error}")),
    };
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Unreadable::Failed("is no regular file".to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let state = || file.metadata().and_then(|now| Ok((now.len(), now.modified()?)));
    let before = state().map_err(failed)?;
    let mut bytes = Vec::new();
    (&file).take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Unreadable::TooLarge);
    }
    if state().map_err(failed)? != before {
        return Err(Unreadable::Changing);
    }
    let age = SystemTime::now().duration_since(before.1).unwrap_or(Duration::MAX);
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Unreadable::Failed(format!("is not UTF-8 text: byte {place} is none"))
    })?;
    Ok(FileText { text, age })
}
