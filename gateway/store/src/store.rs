//! The store: a private directory of entries, the oldest of which go when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use portcullis_crypto::{hex, sha256};

use crate::StoreError;
use crate::directory::{check_private, is_private_file, make_private};
use crate::entry::{decode_entry, encode_entry};

/// What was begun and left for so long will not be finished.
const ABANDONED: Duration = Duration::from_secs(3600);
const UNFINISHED: &str = "unfinished-";

/// A directory of entries by name. Any number of processes may use it at once: an entry appears whole or not at all.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    limit: u64,
}

impl Store {
    /// A store in a directory, made with mode 0700 where it is missing, of at most `limit` bytes.
    ///
    /// # Errors
    /// It cannot be made, or others can write it.
    pub fn open(directory: &Path, limit: u64) -> Result<Self, StoreError> {
        make_private(directory)?;
        let store = Store { directory: directory.to_owned(), limit };
        store.make_room(0, None);
        Ok(store)
    }

    /// What is kept under a name, if it is there and whole. What is broken goes, so that it is made anew.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        check_private(&self.directory).inspect_err(|error| tracing::warn!("{error}")).ok()?;
        let path = self.path(name);
        let mut file = File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if !is_private_file(&metadata) || metadata.len() > self.limit {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.read_to_end(&mut bytes).ok()?;
        let Some(contents) = decode_entry(name, bytes) else {
            tracing::warn!(path = %path.display(), "a file of the cache is broken; it is made anew");
            self.remove(name);
            return None;
        };
        // The age decides what goes first; where it cannot be set, something useful goes.
        let _ = file.set_modified(SystemTime::now());
        Some(contents)
    }

    /// Keeps something under a name, in the place of what was there.
    ///
    /// # Errors
    /// The system refused; what was there is still there.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), StoreError> {
        check_private(&self.directory)?;
        let file = encode_entry(name, contents);
        let size = file.len() as u64;
        if size > self.limit {
            return Err(StoreError::TooLarge { size });
        }
        let path = self.path(name);
        self.make_room(size, path.file_name());
        let (unfinished, mut opened) = self.begin()?;
        let written = opened.write_all(&file).and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(|error| {
            // It may be gone already.
            let _ = fs::remove_file(&unfinished);
            StoreError::of(&unfinished, &error)
        })
    }

    /// Forgets what is kept under a name.
    pub fn remove(&self, name: &str) {
        // What is not there is forgotten already.
        let _ = fs::remove_file(self.path(name));
    }

    /// The file of a name, which need not be there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(hex(&sha256(name.as_bytes())))
    }

    /// A file to be written, which is nobody else's: processes in containers that share the directory may have the same
    /// number, and one that was killed may have left a file of that name.
    fn begin(&self) -> Result<(PathBuf, File), StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let nth = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self.directory.join(format!("{UNFINISHED}{}-{nth}", std::process::id()));
            match private_options().open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::of(&path, &error)),
            }
        }
    }

    /// Lets the oldest go until so many bytes more fit; the file that is about to be replaced does not count.
    fn make_room(&self, more: u64, replaced: Option<&std::ffi::OsStr>) {
        let mut files = self.files();
        files.retain(|file| Some(file.name.as_os_str()) != replaced);
        files.sort_by_key(|file| file.used);
        let mut total = more + files.iter().map(|file| file.size).sum::<u64>();
        for file in files {
            let is_abandoned = file.name.to_string_lossy().starts_with(UNFINISHED)
                && file.used.elapsed().is_ok_and(|age| age > ABANDONED);
            if is_abandoned || total > self.limit {
                // Another process may have been faster.
                let _ = fs::remove_file(self.directory.join(&file.name));
                total -= file.size;
            }
        }
    }

    fn files(&self) -> Vec<Kept> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let kept = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let used = metadata.modified().ok()?;
            Some(Kept { name: entry.file_name(), used, size: metadata.len() })
        });
        kept.collect()
    }
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

struct Kept {
    name: std::ffi::OsString,
    used: SystemTime,
    size: u64,
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store(limit: u64) -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache"), limit).unwrap();
        (directory, store)
    }

    #[test]
    fn what_is_kept_comes_back_until_it_is_replaced() {
        let (_directory, store) = store(1 << 20);
        assert_eq!(store.read("a"), None);
        store.write("a", b"one").unwrap();
        store.write("b", b"other").unwrap();
        assert_eq!(store.read("a").unwrap(), b"one");
        store.write("a", b"two").unwrap();
        assert_eq!(store.read("a").unwrap(), b"two");
        store.remove("a");
        assert_eq!((store.read("a"), store.read("b").unwrap()), (None, b"other".to_vec()));
    }

    #[test]
    fn a_flipped_or_cut_file_is_not_read_and_goes() {
        let (_directory, store) = store(1 << 20);
        for spoil in [
            |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
            |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1),
            |bytes: &mut Vec<u8>| bytes.clear(),
        ] {
            store.write("a", b"contents").unwrap();
            let path = store.path("a");
            let mut bytes = fs::read(&path).unwrap();
            spoil(&mut bytes);
            fs::write(&path, bytes).unwrap();
            assert_eq!(store.read("a"), None);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_another_process_is_writing_is_left_alone() {
        let (_directory, store) = store(1 << 20);
        let next =
            |nth: u64| store.directory.join(format!("{UNFINISHED}{}-{nth}", std::process::id()));
        // Tests of this process count up beside this one.
        let theirs: Vec<_> = (0..1000).map(next).collect();
        let theirs: Vec<_> = theirs.iter().filter(|path| fs::write(path, "half").is_ok()).collect();
        store.write("a", b"contents").unwrap();
        assert_eq!(store.read("a").unwrap(), b"contents");
        assert!(theirs.iter().all(|path| fs::read(path).is_ok_and(|bytes| bytes == b"half")));
    }

    #[test]
    fn a_good_file_under_another_name_is_not_read() {
        let (_directory, store) = store(1 << 20);
        store.write("a", b"contents").unwrap();
        fs::rename(store.path("a"), store.path("b")).unwrap();
        assert_eq!(store.read("b"), None);
    }

    #[test]
    fn what_others_could_have_written_is_neither_read_nor_written() {
        let (_directory, store) = store(1 << 20);
        store.write("a", b"contents").unwrap();
        set_permissions(store.path("a"), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(store.read("a"), None);
        set_permissions(store.path("a"), Permissions::from_mode(0o600)).unwrap();
        assert!(store.read("a").is_some());
        set_permissions(&store.directory, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(store.read("a"), None);
        assert!(store.write("b", b"more").unwrap_err().to_string().contains("chmod 0700"));
        assert!(Store::open(&store.directory, 1).is_err());
    }

    #[test]
    fn the_oldest_go_when_it_is_full() {
        let (_directory, store) = store(1000);
        let age = |name, seconds| {
            let file = File::open(store.path(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        store.write("old", &[0; 300]).unwrap();
        store.write("used", &[0; 300]).unwrap();
        age("old", 100);
        age("used", 200);
        assert!(store.read("used").is_some());
        store.write("new", &[0; 300]).unwrap();
        assert_eq!(store.read("old"), None);
        assert!(store.read("used").is_some() && store.read("new").is_some());
        assert_eq!(store.write("huge", &[0; 1000]), Err(StoreError::TooLarge { size: 1040 }));
        assert!(store.read("new").is_some());
    }

    #[test]
    fn what_was_left_unfinished_goes_after_a_while() {
        let (_directory, store) = store(1000);
        let ((stale, _), (fresh, _)) = (store.begin().unwrap(), store.begin().unwrap());
        let file = File::open(&stale).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
        Store::open(&store.directory, 1000).unwrap();
        assert_eq!((stale.exists(), fresh.exists()), (false, true));
    }

    #[test]
    fn many_writers_leave_one_whole_entry() {
        let (_directory, store) = store(1 << 20);
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let store = &store;
                scope.spawn(move || {
                    for _ in 0..20 {
                        store.write("a", &[writer; 1000]).unwrap();
                        let read = store.read("a").unwrap();
                        assert!(read.iter().all(|byte| *byte == read[0]), "a torn entry");
                    }
                });
            }
        });
    }
}
