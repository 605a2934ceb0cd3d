//! Whether a directory is ours alone.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::path::Path;

use crate::StoreError;

/// Makes a directory with mode 0700 where it is missing.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    match private_builder().create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::of(path, &error))
        }
        _ => check_private(path),
    }
}

/// Whether a directory is a real one, belongs to this process's user, and can be written by nobody else. Asked again
/// before whatever relies on it: modes change.
///
/// # Errors
/// Says what is wrong with it, and what to do.
pub fn check_private(path: &Path) -> Result<(), StoreError> {
    // A link would be checked in the place of what it leads to.
    let metadata = path.symlink_metadata().map_err(|error| StoreError::of(path, &error))?;
    let refused = |why| Err(StoreError::Exposed { path: path.to_owned(), why });
    if !metadata.is_dir() {
        return refused("it is not a directory");
    }
    why_exposed(&metadata).map_or(Ok(()), refused)
}

/// Whether a file is a plain one of ours that nobody else can write.
pub(crate) fn is_private_file(metadata: &Metadata) -> bool {
    metadata.is_file() && why_exposed(metadata).is_none()
}

#[cfg(unix)]
fn private_builder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;

    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private_builder() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn why_exposed(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;

    /// Anyone else may write.
    const FOREIGN_WRITE: u32 = 0o022;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Some("it belongs to another user; run chown on it");
    }
    (metadata.mode() & FOREIGN_WRITE != 0).then_some("others can write it; run chmod 0700 on it")
}

/// What is kept there is believed, so it is not used where that cannot be told.
#[cfg(not(unix))]
fn why_exposed(_: &Metadata) -> Option<&'static str> {
    Some("who can write it is not known on this system")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_is_ours_alone_or_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("cache");
        make_private(&path).unwrap();
        make_private(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        for mode in [0o770, 0o702] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(check_private(&path).unwrap_err().to_string().contains("chmod 0700"));
        }
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        check_private(&path).unwrap();
        let link = parent.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(check_private(&link).unwrap_err().to_string().contains("not a directory"));
        let file = parent.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(make_private(&file).is_err());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        // The root of the file system is root's, and this is told apart only where we are someone else.
        let refused = check_private(Path::new("/")).is_err();
        assert_eq!(refused, !rustix::process::geteuid().is_root());
    }
}
