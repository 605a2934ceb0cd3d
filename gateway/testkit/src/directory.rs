//! A directory of manifests that a test writes and changes.

use std::fs;
use std::path::{Path, PathBuf};

/// A temporary directory, removed with the value.
#[derive(Debug)]
pub struct Directory(tempfile::TempDir);

impl Directory {
    /// An empty one.
    pub fn new() -> Self {
        Directory(tempfile::tempdir().unwrap())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file as careful editors do: beside it, then renamed over it, so that nobody reads half.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside =
            path.with_file_name(format!(".{}.new", path.file_name().unwrap().to_string_lossy()));
        fs::write(&beside, contents).unwrap();
        fs::rename(&beside, &path).unwrap();
        path
    }

    /// Writes a file in place, as careless editors do.
    pub fn overwrite(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    /// What a file holds now, empty where it does not exist.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }
}

impl Default for Directory {
    fn default() -> Self {
        Directory::new()
    }
}
