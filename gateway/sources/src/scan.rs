//! Finding the manifest files below the configured paths, and what to watch to learn of any change.

use std::collections::{BTreeSet, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::interest::{Interest, is_manifest};
use crate::trail::follow;

/// Deeper directories are a mistake, and links can make them endless.
const DEEPEST: usize = 32;

/// Everything found in one look at the file system.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// For each configured path, in their order.
    pub(crate) roots: Vec<Found>,
    /// For each further file, in the order of their paths.
    pub(crate) extras: Vec<ScannedFile>,
    /// What concerns us in the watched directories.
    pub(crate) interest: Interest,
    /// What was seen, by device and inode: a link never leads round in a circle.
    visited: HashSet<(u64, u64)>,
}

/// What stands at one configured path.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing that can be read, and why.
    Nothing(io::Error),
    /// One file.
    File(ScannedFile),
    /// A directory.
    Directory(Listing),
}

/// What a directory and those below it hold.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The manifest files, sorted by path.
    pub(crate) files: Vec<ScannedFile>,
    /// Sub-directories that cannot be listed, and why.
    pub(crate) closed: Vec<(PathBuf, io::Error)>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScannedFile {
    /// As the user would name it.
    pub(crate) path: PathBuf,
    /// Free of links.
    pub(crate) real: PathBuf,
    /// `None` for a link to nothing.
    pub(crate) stamp: Option<Stamp>,
}

/// A file and its stamp, to be compared later.
pub(crate) type FileState = (PathBuf, Option<Stamp>);

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Whether the file was written, renamed or anything else since.
    pub(crate) fn changed_after(&self, time: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        match (u64::try_from(seconds), u32::try_from(nanoseconds)) {
            (Ok(seconds), Ok(nanoseconds)) => {
                UNIX_EPOCH + Duration::new(seconds, nanoseconds) > time
            }
            _ => false,
        }
    }

    fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Looks at the configured paths, and at further files that are watched with them.
pub(crate) fn scan(roots: &[PathBuf], extras: &BTreeSet<PathBuf>) -> Scan {
    let mut scan = Scan::default();
    for root in roots {
        let found = scan.look_at_root(root);
        scan.roots.push(found);
    }
    for extra in extras {
        let extra = scan.file(extra.clone());
        scan.extras.push(extra);
    }
    scan
}

impl Scan {
    /// The state of everything, to be compared with another.
    pub(crate) fn stamps(&self) -> Vec<FileState> {
        self.roots
            .iter()
            .flat_map(Found::files)
            .chain(&self.extras)
            .map(|file| (file.path.clone(), file.stamp))
            .collect()
    }

    fn look_at_root(&mut self, root: &Path) -> Found {
        let file = self.file(root.to_owned());
        match std::fs::metadata(root) {
            Err(error) => Found::Nothing(error),
            Ok(metadata) if metadata.is_dir() => {
                let mut listing = Listing::default();
                let listed = self.list((root, &file.real), &metadata, DEEPEST, &mut listing);
                listing.files.sort_by(|a, b| a.path.cmp(&b.path));
                listing.files.retain(|file| self.is_first(file));
                listed.map_or_else(Found::Nothing, |()| Found::Directory(listing))
            }
            Ok(_) if self.is_first(&file) => Found::File(file),
            Ok(_) => Found::Directory(Listing::default()),
        }
    }

    /// A file that is reached in two ways is read once.
    fn is_first(&mut self, file: &ScannedFile) -> bool {
        file.stamp.is_none_or(|stamp| self.visited.insert((stamp.device, stamp.inode)))
    }

    /// Lists a directory, given as the user names it and free of links.
    fn list(
        &mut self,
        (shown, real): (&Path, &Path),
        metadata: &Metadata,
        depth: usize,
        listing: &mut Listing,
    ) -> io::Result<()> {
        if depth == 0 || !self.visited.insert((metadata.dev(), metadata.ino())) {
            return Ok(());
        }
        self.interest.add_directory(real);
        for entry in std::fs::read_dir(shown)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = shown.join(&name);
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let file = if is_link { self.file(path) } else { plain_file(path, real.join(&name)) };
            match std::fs::metadata(&file.path) {
                Ok(metadata) if metadata.is_dir() => {
                    let below = (&*file.path, &*file.real);
                    if let Err(error) = self.list(below, &metadata, depth - 1, listing) {
                        listing.closed.push((file.path, error));
                    }
                }
                _ if is_manifest(&file.path) => listing.files.push(file),
                _ => {}
            }
        }
        Ok(())
    }

    /// Follows a path to its file, and takes an interest in each step of the way.
    fn file(&mut self, path: PathBuf) -> ScannedFile {
        let trail = follow(&path);
        let real = trail.end().unwrap_or(&path).clone();
        trail.entries.into_iter().for_each(|entry| self.interest.add_entry(entry));
        plain_file(path, real)
    }
}

impl Found {
    /// The files, whatever it is.
    pub(crate) fn files(&self) -> &[ScannedFile] {
        match self {
            Found::Nothing(_) => &[],
            Found::File(file) => std::slice::from_ref(file),
            Found::Directory(listing) => &listing.files,
        }
    }
}

fn plain_file(path: PathBuf, real: PathBuf) -> ScannedFile {
    let stamp = std::fs::metadata(&path).ok().map(|metadata| Stamp::of(&metadata));
    ScannedFile { path, real, stamp }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let scan = scan(&[root.to_owned()], &BTreeSet::new());
        let files = scan.roots[0].files().iter();
        files.map(|file| file.path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn manifests_are_found_by_name_in_sub_directories_too() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        let all = ["z.yaml", "a.yml", "b/c/x.json", "b/readme.md", ".git/x.yaml", ".hidden.yaml"];
        for name in all {
            std::fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(names(root), ["a.yml", "b/c/x.json", "z.yaml"]);
    }

    #[test]
    fn the_files_of_a_mounted_config_map_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/a.yaml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        symlink("..data/gone.yaml", root.join("gone.yaml")).unwrap();
        assert_eq!(names(root), ["a.yaml", "gone.yaml"]);
    }

    #[test]
    fn a_link_that_leads_back_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("a.yaml"), "").unwrap();
        symlink(".", root.join("again")).unwrap();
        assert_eq!(names(root), ["a.yaml"]);
    }
}
