//! The directory for what outlives a restart.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Makes it with mode 0700 where it is missing; refuses one that others can write.
///
/// # Errors
/// Says what is wrong with the directory and what to do.
pub(crate) fn prepare(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if !path.exists() {
        return DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| format!("--state-dir {shown} cannot be made: {error}"));
    }
    let metadata =
        path.metadata().map_err(|error| format!("--state-dir {shown} cannot be read: {error}"))?;
    if !metadata.is_dir() {
        return Err(format!("--state-dir {shown} is not a directory"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("--state-dir {shown} can be written by others; run chmod 0700 on it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        prepare(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        prepare(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare(&path).unwrap_err().contains("0700"));
    }
}
