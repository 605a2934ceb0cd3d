//! `plugin new`: a project that builds, passes its own suite and can be applied.

use std::fs;
use std::path::{Path, PathBuf};

use crate::author_error::AuthorError;
use crate::packed::{SDK, TEMPLATES};

/// What a new project begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// A filter that lets everything pass.
    #[default]
    Blank,
    /// Headers of requests and responses, by configuration.
    Header,
    /// Requests refused without a key.
    Auth,
    /// Bodies read and replaced.
    Body,
    /// Another service asked before a request goes on.
    Callout,
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 5] =
        [Template::Blank, Template::Header, Template::Auth, Template::Body, Template::Callout];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Template::Blank => "blank",
            Template::Header => "header",
            Template::Auth => "auth",
            Template::Body => "body",
            Template::Callout => "callout",
        }
    }
}

impl Template {
    /// What `plugin.yaml` begins with, fit for the template's filter.
    fn configuration(self) -> &'static str {
        match self {
            Template::Blank => "{}",
            Template::Header => "{ header: x-team, value: red }",
            Template::Auth => "{ keys: { s3cret: ann } }",
            Template::Body => "{ forbidden: xyzzy, replace: cat, with: dog }",
            Template::Callout => "{ cluster: \"outbound|80||auth.default.svc.cluster.local\" }",
        }
    }
}

/// The folder of what every template has.
const SHARED: &str = "shared";
/// Where a project keeps the SDK.
const SDK_FOLDER: &str = "sdk";
/// Longer ones make file names that systems refuse.
const LONGEST_NAME: usize = 64;
/// Names that cargo or the language keep for themselves.
const RESERVED: [&str; 12] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "build",
    "deps",
    "examples",
    "incremental",
    "self",
    "crate",
    "sdk",
];

/// Writes a project of that name into a folder of that name below `parent`, and says where.
///
/// # Errors
/// The name is no crate's name, the folder is there already, or it cannot be written.
pub fn begin_project(
    parent: &Path,
    name: &str,
    template: Template,
) -> Result<PathBuf, AuthorError> {
    check_name(name)?;
    let folder = parent.join(name);
    if folder.symlink_metadata().is_ok() {
        return Err(AuthorError::Usage(format!(
            "{} is there already; choose another name, or remove it",
            folder.display()
        )));
    }
    for (path, text) in files_of(template) {
        // A file whose name begins with a dot would not be packed.
        write(&folder.join(path.replace("dot-", ".")), &fill_in(text, name, template))?;
    }
    for (path, text) in SDK {
        write(&folder.join(SDK_FOLDER).join(path), text)?;
    }
    Ok(folder)
}

/// The files of a template, and of what all share, by their place in the project.
fn files_of(template: Template) -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES.iter().filter_map(move |(path, text)| {
        let (folder, below) = path.split_once('/')?;
        // Cargo takes every folder with a manifest for a crate: the templates' have another ending.
        let below = below.strip_suffix(".in").unwrap_or(below);
        (folder == SHARED || folder == template.name()).then_some((below, *text))
    })
}

fn fill_in(text: &str, name: &str, template: Template) -> String {
    text.replace("{{name}}", name)
        .replace("{{Name}}", &type_name(name))
        .replace("{{configuration}}", template.configuration())
}

fn check_name(name: &str) -> Result<(), AuthorError> {
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if plain && begins_well && name.len() <= LONGEST_NAME && !RESERVED.contains(&name) {
        return Ok(());
    }
    Err(AuthorError::Usage(format!(
        "`{}` cannot be the name of a plugin: write lower-case letters, digits, `-` and `_`, a letter first, at most \
         {LONGEST_NAME}, and none that Rust keeps for itself",
        name.escape_debug()
    )))
}

/// `rate-card` is the crate, `RateCard` its filter.
fn type_name(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase())
            .into_iter()
            .chain(letters)
            .collect::<String>()
    };
    name.split(['-', '_']).map(capitalised).collect()
}

fn write(path: &Path, text: &str) -> Result<(), AuthorError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| AuthorError::file(folder, &error))?;
    }
    fs::write(path, text).map_err(|error| AuthorError::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_template_the_sdk_and_its_name() {
        let parent = tempfile::tempdir().unwrap();
        for template in Template::ALL {
            let name = format!("my-{}", template.name());
            let folder = begin_project(parent.path(), &name, template).unwrap();
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{manifest}");
            let source = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
            assert!(source.contains("#[filter]") && !source.contains("{{"), "{source}");
            for file in [
                "sdk/Cargo.toml",
                "sdk/src/lib.rs",
                "sdk/macros/src/lib.rs",
                "README.md",
                "tests/suite.yaml",
            ] {
                assert!(folder.join(file).is_file(), "{template:?}: {file}");
            }
        }
    }

    #[test]
    fn a_name_is_a_plain_crate_name_and_never_a_path() {
        let parent = tempfile::tempdir().unwrap();
        for name in [
            "",
            "../up",
            "a/b",
            "/etc",
            "Ünder",
            "1st",
            "-x",
            "a b",
            "test",
            "Upper",
            &"a".repeat(65),
        ] {
            let refused = begin_project(parent.path(), name, Template::Blank).unwrap_err();
            assert!(matches!(refused, AuthorError::Usage(_)), "{name}");
        }
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_written_over() {
        let parent = tempfile::tempdir().unwrap();
        begin_project(parent.path(), "team", Template::Blank).unwrap();
        let again = begin_project(parent.path(), "team", Template::Auth).unwrap_err().to_string();
        assert!(again.contains("there already"), "{again}");
    }

    #[test]
    fn a_filter_is_named_after_its_crate() {
        assert_eq!(type_name("rate-card_v2"), "RateCardV2");
    }
}
