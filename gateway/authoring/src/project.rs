//! A plugin's project: a crate that compiles to one module.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::author_error::AuthorError;
use crate::effort::Effort;

/// A crate that is compiled to a plugin.
#[derive(Clone, Debug)]
pub struct Project {
    /// Where its manifest is.
    pub folder: PathBuf,
    /// Its name: of the crate and of the module.
    pub name: String,
    /// Where cargo leaves what it builds.
    pub(crate) target: PathBuf,
    /// What it may call, as `[package.metadata.portcullis] upstreams` says; `None`: every cluster that is named.
    pub(crate) upstreams: Option<Vec<String>>,
}

/// The part of `cargo metadata` that is looked at.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(default)]
    metadata: Option<PackageMetadata>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    portcullis: Option<PluginMetadata>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginMetadata {
    upstreams: Option<Vec<String>>,
}

impl Project {
    /// The project in this folder.
    ///
    /// # Errors
    /// There is no cargo, no crate, or one that makes no module.
    pub fn find(folder: &Path) -> Result<Self, AuthorError> {
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(AuthorError::Usage(format!(
                "{} is no plugin's project, it has no Cargo.toml; begin one with `portcullis plugin new NAME`, or name its folder",
                folder.display()
            )));
        }
        let manifest =
            manifest.canonicalize().map_err(|error| AuthorError::file(&manifest, &error))?;
        let metadata = read_metadata(&manifest)?;
        let package = metadata
            .packages
            .into_iter()
            .find(|package| package.manifest_path == manifest)
            .ok_or_else(|| {
                AuthorError::Usage(format!(
                    "{} holds a workspace and no crate; name the crate's folder",
                    manifest.display()
                ))
            })?;
        if !package
            .targets
            .iter()
            .any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
        {
            return Err(AuthorError::Usage(format!(
                "{} makes no module; write `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
                manifest.display()
            )));
        }
        let plugin = package.metadata.and_then(|metadata| metadata.portcullis);
        Ok(Project {
            folder: manifest.parent().map(Path::to_owned).unwrap_or_default(),
            name: package.name,
            target: metadata.target_directory,
            upstreams: plugin.and_then(|plugin| plugin.upstreams),
        })
    }

    /// Where the module is left.
    pub(crate) fn module(&self, effort: Effort) -> PathBuf {
        let folder = match effort {
            Effort::Release => "target/portcullis",
            Effort::Quick => "target/portcullis/dev",
        };
        self.folder.join(folder).join(format!("{}.wasm", self.name))
    }

    /// What `plugin.yaml` says that the filter reads; nothing where there is no such file.
    ///
    /// # Errors
    /// The file is no YAML.
    pub(crate) fn configuration(&self) -> Result<Option<serde_json::Value>, AuthorError> {
        configuration_in(&self.folder)
    }

    /// Where cargo leaves it, in lower-case with `_`.
    pub(crate) fn compiled(&self, triple: &str, effort: Effort) -> PathBuf {
        let file = format!("{}.wasm", self.name.replace('-', "_"));
        self.target.join(triple).join(effort.profile()).join(file)
    }
}

/// The same of a folder that need be no project.
///
/// # Errors
/// The file is no YAML.
pub(crate) fn configuration_in(folder: &Path) -> Result<Option<serde_json::Value>, AuthorError> {
    let path = folder.join("plugin.yaml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let object: serde_json::Value = serde_saphyr::from_str(&text)
        .map_err(|error| AuthorError::Usage(format!("{}: {error}", path.display())))?;
    Ok(object.pointer("/spec/pluginConfig").cloned())
}

fn read_metadata(manifest: &Path) -> Result<Metadata, AuthorError> {
    let run = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        // As where it is built: what a folder says of cargo's own (`.cargo/config.toml`) counts.
        .current_dir(manifest.parent().unwrap_or(Path::new(".")))
        .output()
        .map_err(|error| {
            AuthorError::Failure(format!(
                "cargo does not start ({error}); install Rust, for instance by `curl -sSf https://sh.rustup.rs | sh`"
            ))
        })?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        return Err(AuthorError::Failure(format!(
            "{}: {}",
            manifest.display(),
            said.trim().replace('\n', " ")
        )));
    }
    serde_json::from_slice(&run.stdout).map_err(|error| {
        AuthorError::Usage(format!(
            "{}: {error}; see [package.metadata.portcullis]",
            manifest.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_folder_says_of_cargos_own_counts() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().canonicalize().unwrap().join("team");
        for (file, text) in [
            (
                "Cargo.toml",
                "[package]\nname = \"team\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
            ),
            ("src/lib.rs", ""),
            (".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n"),
        ] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let project = Project::find(&folder).unwrap();
        assert_eq!((project.name.as_str(), project.target), ("team", folder.join("elsewhere")));
    }
}
