//! Whether a directory is ours alone.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use crate::StoreError;

/// Anyone else may write.
const FOREIGN_WRITE: u32 = 0o022;

/// Makes a directory with mode 0700 where it is missing.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
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
    if metadata.uid() != own_user() {
        return refused("it belongs to another user; run chown on it");
    }
    if metadata.mode() & FOREIGN_WRITE != 0 {
        return refused("others can write it; run chmod 0700 on it");
    }
    Ok(())
}

/// Whether a file is a plain one of ours that nobody else can write.
pub(crate) fn is_private_file(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file() && metadata.uid() == own_user() && metadata.mode() & FOREIGN_WRITE == 0
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

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
        assert_eq!(refused, own_user() != 0);
    }
}
