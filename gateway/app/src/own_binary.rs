//! What this process was started as, so that it can start the program that is there later.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The command of this process.
#[derive(Clone, Debug)]
pub(crate) struct OwnCommand {
    /// The program's path as it was started: a link is not followed, so whoever turns it changes the program.
    pub path: PathBuf,
    /// `argv[0]`
    pub name: OsString,
    /// The arguments after it.
    pub arguments: Vec<OsString>,
}

impl OwnCommand {
    /// To be asked for at the start, while the file is what runs.
    ///
    /// # Errors
    /// Where the system does not say what runs.
    pub(crate) fn of_this_process() -> std::io::Result<Self> {
        let running = std::env::current_exe()?;
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| running.clone().into_os_string());
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let path = as_started(&name, &directories)
            .filter(|path| is_same_file(path, &running))
            .unwrap_or_else(|| without_mark(running));
        Ok(OwnCommand { path, name, arguments: arguments.collect() })
    }
}

/// The absolute path that a command's name stood for.
fn as_started(name: &OsStr, directories: &OsStr) -> Option<PathBuf> {
    let name = Path::new(name);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    std::env::split_paths(directories).map(|directory| directory.join(name)).find_map(|path| {
        let is_program = path.is_file();
        if is_program { std::path::absolute(path).ok() } else { None }
    })
}

fn is_same_file(path: &Path, running: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path == running)
}

/// Linux marks the path of a program whose file was replaced.
fn without_mark(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(bare) => bare.into(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (program, link) = (directory.path().join("program"), directory.path().join("link"));
        std::fs::write(&program, "").unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(as_started(link.as_os_str(), OsStr::new("")), Some(link.clone()));
        assert!(is_same_file(&link, &program.canonicalize().unwrap()));
        assert_eq!(as_started(OsStr::new("link"), directory.path().as_os_str()), Some(link));
        assert_eq!(as_started(OsStr::new("none"), directory.path().as_os_str()), None);
    }

    #[test]
    fn a_replaced_file_is_found_by_its_name() {
        assert_eq!(without_mark("/bin/a (deleted)".into()), Path::new("/bin/a"));
        assert_eq!(without_mark("/bin/a".into()), Path::new("/bin/a"));
    }
}
