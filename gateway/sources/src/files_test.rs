//! The files source on a real file system. Each test awaits what the source hands on; the bound on the
//! waiting only turns a hang into a failure.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_manifests::codes;
use tempfile::TempDir;

use crate::files::{Cause, FileSource, Update};
use crate::inbox::Timing;

const HANGS: Duration = Duration::from_secs(30);

struct Watched {
    directory: TempDir,
    source: FileSource,
}

impl Watched {
    /// A source on a directory with these files, after its first draft.
    async fn with(files: &[(&str, &str)]) -> Self {
        Watched::start(files, |root| FileSource::new(vec![root])).await
    }

    async fn start(files: &[(&str, &str)], source: impl FnOnce(PathBuf) -> FileSource) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("config")).unwrap();
        let source = source(directory.path().join("config"));
        let mut watched = Watched { directory, source };
        for (name, text) in files {
            watched.write(name, text);
        }
        let first = watched.next().await;
        assert_eq!(first.cause, Cause::Start);
        assert_eq!(texts(&first).len(), files.len());
        watched
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("config").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As editors do: a new file beside the old, then renamed over it.
    fn replace(&self, name: &str, text: &str) {
        let beside = self.path(&format!(".{name}.new"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }

    async fn next(&mut self) -> Update {
        tokio::time::timeout(HANGS, self.source.latest_draft()).await.unwrap()
    }

    /// The update in which a file has a text; those on the way there are let by.
    async fn until(&mut self, name: &str, text: &str) -> Update {
        loop {
            let update = self.next().await;
            if texts(&update).contains(&(name.to_owned(), text.to_owned())) {
                return update;
            }
        }
    }
}

fn texts(update: &Update) -> Vec<(String, String)> {
    let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
    update.draft.sources().map(|file| (name(&file.path), file.text.to_string())).collect()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_file_renamed_over_the_old_one_is_read() {
    let mut watched = Watched::with(&[("a.yaml", "one: 1"), ("b.yaml", "b: 1")]).await;
    for text in ["one: 2", "one: 3"] {
        watched.replace("a.yaml", text);
        let update = watched.next().await;
        assert_eq!(update.cause, Cause::Change);
        assert_eq!(texts(&update), named(&[("a.yaml", text), ("b.yaml", "b: 1")]));
        assert_eq!(update.problems, []);
    }
}

#[tokio::test]
async fn a_file_is_not_read_before_it_is_closed() {
    use std::io::Write;
    let mut watched = Watched::with(&[("a.yaml", "whole: 1"), ("b.yaml", "b: 1")]).await;
    let mut file = fs::File::create(watched.path("a.yaml")).unwrap();
    file.write_all(b"ha").unwrap();
    let mut new = fs::File::create(watched.path("new.yaml")).unwrap();
    new.write_all(b"al").unwrap();
    // Another file that is whole is handed on meanwhile, with the old text of the open one.
    watched.replace("b.yaml", "b: 2");
    let update = watched.next().await;
    assert_eq!(texts(&update), named(&[("a.yaml", "whole: 1"), ("b.yaml", "b: 2")]));
    file.write_all(b"lf: 2").unwrap();
    new.write_all(b"so: 1").unwrap();
    drop((file, new));
    let update = watched.next().await;
    let whole = named(&[("a.yaml", "half: 2"), ("b.yaml", "b: 2"), ("new.yaml", "also: 1")]);
    assert_eq!(texts(&update), whole);
}

#[tokio::test]
async fn a_mounted_config_map_is_swapped() {
    let mut watched = Watched::with(&[]).await;
    for (generation, text) in [("..1", "v: 1"), ("..2", "v: 2"), ("..3", "v: 3")] {
        watched.write(&format!("{generation}/a.yaml"), text);
        symlink(generation, watched.path("..data_tmp")).unwrap();
        fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
        if generation == "..1" {
            symlink("..data/a.yaml", watched.path("a.yaml")).unwrap();
        }
        let update = watched.until("a.yaml", text).await;
        assert_eq!(texts(&update).len(), 1);
    }
}

#[tokio::test]
async fn a_single_file_behind_links_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (name, text) in [("v1", "v: 1"), ("v2", "v: 2")] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.conf"), text).unwrap();
    }
    symlink("v1", root.join("current")).unwrap();
    symlink("current/a.conf", root.join("main")).unwrap();
    let source = FileSource::new(vec![root.join("main")]);
    let mut watched = Watched { source, directory };
    assert_eq!(texts(&watched.next().await), named(&[("main", "v: 1")]));
    let root = watched.directory.path().to_owned();
    symlink("v2", root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
    assert_eq!(texts(&watched.next().await), named(&[("main", "v: 2")]));
    fs::write(root.join("v2/a.conf"), "v: 3").unwrap();
    watched.until("main", "v: 3").await;
}

#[tokio::test]
async fn a_deleted_file_is_gone() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1"), ("sub/b.yaml", "b: 1")]).await;
    fs::remove_file(watched.path("sub/b.yaml")).unwrap();
    assert_eq!(texts(&watched.next().await), named(&[("a.yaml", "a: 1")]));
}

#[tokio::test]
async fn new_directories_are_watched() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    watched.write("x/y/b.yaml", "b: 1");
    watched.until("b.yaml", "b: 1").await;
    watched.write("x/y/b.yaml", "b: 2");
    watched.until("b.yaml", "b: 2").await;
    // One that comes back under the same name is another one.
    fs::remove_dir_all(watched.path("x")).unwrap();
    while texts(&watched.next().await).len() > 1 {}
    watched.write("x/y/b.yaml", "b: 3");
    watched.until("b.yaml", "b: 3").await;
    watched.replace("a.yaml", "a: 2");
    watched.write("x/y/b.yaml", "b: 4");
    watched.until("b.yaml", "b: 4").await;
}

#[tokio::test]
async fn a_directory_that_vanishes_keeps_its_last_state_until_it_returns() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    let config = watched.path("");
    let away = watched.directory.path().join("away");
    for round in 2..4 {
        fs::rename(&config, &away).unwrap();
        let update = watched.next().await;
        assert_eq!(update.problems[0].code, codes::SOURCE_GONE);
        assert_eq!(texts(&update).len(), 1);
        let text = format!("a: {round}");
        fs::write(away.join("a.yaml"), &text).unwrap();
        fs::rename(&away, &config).unwrap();
        let update = watched.next().await;
        assert_eq!(update.problems, []);
        assert_eq!(texts(&update), named(&[("a.yaml", text.as_str())]));
    }
}

#[tokio::test]
async fn a_suddenly_empty_directory_keeps_its_last_state() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1"), ("b.yaml", "b: 1")]).await;
    fs::remove_dir_all(watched.path("")).unwrap();
    fs::create_dir(watched.path("")).unwrap();
    let update = loop {
        let update = watched.next().await;
        if update.problems.iter().any(|problem| problem.code == codes::SOURCE_GONE) {
            break update;
        }
    };
    assert!(!texts(&update).is_empty());
    watched.write("c.yaml", "c: 1");
    let update = watched.until("c.yaml", "c: 1").await;
    assert_eq!(texts(&update).len(), 1);
    assert_eq!(update.problems, []);
}

#[tokio::test]
async fn a_path_that_does_not_exist_yet_is_a_problem_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let source = FileSource::new(vec![directory.path().join("not/yet/here.yaml")]);
    let mut watched = Watched { directory, source };
    let update = watched.next().await;
    assert_eq!(update.problems[0].code, codes::SOURCE_GONE);
    assert!(update.problems[0].to_string().contains("not/yet/here.yaml"));
    let place = watched.directory.path().join("not/yet");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("here.yaml"), "a: 1").unwrap();
    let update = watched.until("here.yaml", "a: 1").await;
    assert_eq!(update.problems, []);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_its_last_text() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1"), ("b.yaml", "b: 1")]).await;
    fs::write(watched.path("a.yaml"), b"a: \xff").unwrap();
    let update = watched.next().await;
    assert_eq!(update.problems[0].code, codes::FILE_UNREADABLE);
    assert!(update.problems[0].origin.file.ends_with("a.yaml"));
    assert_eq!(texts(&update), named(&[("a.yaml", "a: 1"), ("b.yaml", "b: 1")]));
    watched.replace("a.yaml", "a: 2");
    let update = watched.next().await;
    assert_eq!(update.problems, []);
    assert_eq!(texts(&update), named(&[("a.yaml", "a: 2"), ("b.yaml", "b: 1")]));
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_a_problem() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    let sparse = fs::File::create(watched.path("big.yaml")).unwrap();
    sparse.set_len((64 << 20) + 1).unwrap();
    drop(sparse);
    let update = watched.next().await;
    assert_eq!(update.problems[0].code, codes::FILE_TOO_LARGE);
    assert_eq!(texts(&update), named(&[("a.yaml", "a: 1")]));
}

#[tokio::test]
async fn more_files_than_are_read_is_a_problem_and_changes_nothing() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    // Moved in at once, so that they are not read while they come.
    let aside = tempfile::tempdir().unwrap();
    let many = aside.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..10_000 {
        fs::write(many.join(format!("{number}.yaml")), "").unwrap();
    }
    fs::rename(&many, watched.path("many")).unwrap();
    let update = watched.next().await;
    assert_eq!(update.problems[0].code, codes::TOO_MANY_FILES);
    assert_eq!(texts(&update), named(&[("a.yaml", "a: 1")]));
}

#[tokio::test]
async fn a_burst_is_one_update_and_what_changes_nothing_is_none() {
    let mut watched = Watched::with(&[("a.yaml", "a: 0")]).await;
    for round in 1..=500 {
        watched.replace("a.yaml", &format!("a: {round}"));
    }
    // Rewritten as it was: no update may come of it, so the next one is the marker's.
    let mut updates = 1;
    while texts(&watched.next().await) != named(&[("a.yaml", "a: 500")]) {
        updates += 1;
    }
    assert!(updates < 100, "{updates} updates");
    watched.replace("a.yaml", "a: 500");
    watched.write("notes.txt", "not ours");
    watched.source.reload_handle().reload();
    assert_eq!(watched.next().await.cause, Cause::Reload);
}

#[tokio::test]
async fn a_file_that_is_rewritten_in_place_without_pause_is_never_seen_empty() {
    let mut watched = Watched::with(&[("a.yaml", "a: 0"), ("b.yaml", "b: 0")]).await;
    let paths = [watched.path("a.yaml"), watched.path("b.yaml")];
    let writer = std::thread::spawn(move || {
        for round in 1..=2000 {
            for (path, name) in paths.iter().zip(["a", "b"]) {
                fs::write(path, format!("{name}: {round}")).unwrap();
            }
        }
    });
    let last = named(&[("a.yaml", "a: 2000"), ("b.yaml", "b: 2000")]);
    loop {
        let update = watched.next().await;
        let seen = texts(&update);
        assert!(seen.iter().all(|(_, text)| text.contains(": ")), "{seen:?}");
        if seen == last {
            break;
        }
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn any_number_of_reloads_is_one() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    let handle = watched.source.reload_handle();
    for _ in 0..100 {
        handle.reload();
    }
    assert_eq!(watched.next().await.cause, Cause::Reload);
    watched.replace("a.yaml", "a: 2");
    assert_eq!(watched.next().await.cause, Cause::Change);
}

#[tokio::test]
async fn a_module_that_changes_is_told_of() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    let module = watched.directory.path().join("modules/x.wasm");
    watched.source.watch_also([module.clone()]);
    fs::create_dir(module.parent().unwrap()).unwrap();
    fs::write(&module, "one").unwrap();
    for text in ["two", "six"] {
        let update = watched.next().await;
        assert_eq!(update.changed_files, std::slice::from_ref(&module));
        assert_eq!(texts(&update), named(&[("a.yaml", "a: 1")]));
        fs::write(&module, text).unwrap();
    }
    assert_eq!(watched.next().await.changed_files, std::slice::from_ref(&module));
    watched.source.watch_also([]);
    fs::write(&module, "unwatched").unwrap();
    watched.replace("a.yaml", "a: 2");
    assert_eq!(watched.next().await.changed_files, [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_module_that_changed_before_it_was_watched_is_told_of() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    let module = watched.directory.path().join("x.wasm");
    fs::write(&module, "newer than the draft").unwrap();
    watched.source.watch_also([module.clone()]);
    assert_eq!(watched.next().await.changed_files, [module]);
}

#[tokio::test]
async fn waiting_can_be_given_up_without_loss() {
    let mut watched = Watched::with(&[("a.yaml", "a: 1")]).await;
    watched.replace("a.yaml", "a: 2");
    for _ in 0..100 {
        let given_up = tokio::time::timeout(Duration::ZERO, watched.source.latest_draft()).await;
        if let Ok(update) = given_up {
            assert_eq!(texts(&update), named(&[("a.yaml", "a: 2")]));
            return;
        }
    }
    assert_eq!(texts(&watched.next().await), named(&[("a.yaml", "a: 2")]));
}

#[tokio::test]
async fn a_file_reached_in_two_ways_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), "a: 1").unwrap();
    let root = directory.path().to_owned();
    let source = FileSource::new(vec![root.clone(), root.join("a.yaml"), root.join(".")]);
    let mut watched = Watched { directory, source };
    let update = watched.next().await;
    assert_eq!(texts(&update), named(&[("a.yaml", "a: 1")]));
    assert_eq!(update.problems, []);
}

#[tokio::test]
async fn where_nothing_is_told_the_source_looks() {
    let timing = Timing { poll: Duration::from_millis(5), ..Timing::default() };
    let polling = |root| FileSource::polling(vec![root], timing);
    let mut watched = Watched::start(&[("a.yaml", "a: 1")], polling).await;
    watched.replace("a.yaml", "a: 22");
    watched.until("a.yaml", "a: 22").await;
    watched.write("b.yaml", "b: 1");
    watched.until("b.yaml", "b: 1").await;
}
