//! Following a path link by link, so that every change on the way to its file can be watched.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// The way from a path to the file that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// Where each link on the way stands, and at the end the file itself or the first thing that is
    /// missing. Their parents are free of links.
    pub(crate) entries: Vec<PathBuf>,
}

impl Trail {
    /// The path free of links, or as far as it exists.
    pub(crate) fn end(&self) -> Option<&PathBuf> {
        self.entries.last()
    }
}

/// Follows a path component by component: a mounted ConfigMap swaps a directory link in the middle.
pub(crate) fn follow(path: &Path) -> Trail {
    let mut trail = Trail::default();
    let Ok(path) = std::path::absolute(path) else { return trail };
    let mut ahead: VecDeque<Step> = steps(&path).collect();
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        let name = match step {
            Step::Root => {
                here = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                here.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        let entry = here.join(name);
        let link = std::fs::read_link(&entry).ok().filter(|_| links < MOST_LINKS);
        if let Some(target) = link {
            links += 1;
            trail.entries.push(entry);
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(step);
            }
        } else if ahead.is_empty() || std::fs::symlink_metadata(&entry).is_err() {
            trail.entries.push(entry);
            return trail;
        } else {
            here = entry;
        }
    }
    trail.entries.push(here);
    trail
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_the_middle_and_at_the_end_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/a.yaml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        assert_eq!(
            follow(&root.join("./a.yaml")).entries,
            [root.join("a.yaml"), root.join("..data"), root.join("..1/a.yaml")]
        );
        assert_eq!(follow(&root.join("..1/..")).entries, std::slice::from_ref(&root));
    }

    #[test]
    fn what_is_missing_ends_the_trail() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        assert_eq!(follow(&root.join("no/such/file")).entries, [root.join("no")]);
        symlink("/no-such-directory/x", root.join("link")).unwrap();
        assert_eq!(
            follow(&root.join("link")).entries,
            [root.join("link"), PathBuf::from("/no-such-directory")]
        );
    }

    #[test]
    fn a_circle_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(follow(&root.join("a")).entries.len() <= MOST_LINKS + 1);
    }
}
