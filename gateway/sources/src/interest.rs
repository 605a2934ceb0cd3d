//! Which entries of the watched directories concern us.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Which changes concern us. All paths are free of links up to their last component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Directories in which every entry does.
    directories: HashSet<PathBuf>,
    /// Single entries: files, links on the way to files, what is missing.
    entries: HashSet<PathBuf>,
    /// Where those stand.
    parents: HashSet<PathBuf>,
}

impl Interest {
    /// Takes an interest in everything in a directory.
    pub(crate) fn add_directory(&mut self, directory: &Path) {
        self.directories.insert(directory.to_owned());
    }

    /// Takes an interest in one entry.
    pub(crate) fn add_entry(&mut self, entry: PathBuf) {
        if let Some(parent) = entry.parent() {
            self.parents.insert(parent.to_owned());
        }
        self.entries.insert(entry);
    }

    /// The directories to watch.
    pub(crate) fn watched(&self) -> HashSet<PathBuf> {
        self.directories.union(&self.parents).cloned().collect()
    }

    /// Whether a directory is to be watched.
    pub(crate) fn watches(&self, directory: &Path) -> bool {
        self.directories.contains(directory) || self.parents.contains(directory)
    }

    /// Whether it was named, and not only stands in a directory that was.
    pub(crate) fn names(&self, path: &Path) -> bool {
        self.entries.contains(path)
    }

    /// Whether the coming and going of an entry concerns us.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.names(path)
            || self.directories.contains(path)
            || path.parent().is_some_and(|parent| self.directories.contains(parent))
    }

    /// Whether what an entry contains concerns us; that of an editor's swap file does not.
    pub(crate) fn holds_content(&self, path: &Path) -> bool {
        self.names(path) || (is_manifest(path) && self.holds(path))
    }
}

/// Whether a directory's entry is read: by its name alone.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}
