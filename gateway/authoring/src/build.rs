//! `plugin build`: from sources to a module that the gateway takes.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use portcullis_wasm::Engine;

use crate::author_error::AuthorError;
use crate::capabilities::write_manifest;
use crate::effort::Effort;
use crate::inspection::{Inspection, inspect};
use crate::optimise::optimise;
use crate::own_names::keep_own_names;
use crate::progress::Progress;
use crate::project::Project;
use crate::toolchain::{TRIPLE, find_toolchain};

/// A module that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub inspection: Inspection,
}

impl Project {
    /// Compiles, optimises, writes the manifest of what the module needs, and holds the result against the engine that
    /// serves. What was built before stays until all of that is done.
    ///
    /// # Errors
    /// No toolchain can be had, the compiler says no, or the gateway would refuse the module.
    pub fn build(
        &self,
        effort: Effort,
        engine: &Engine,
        progress: &Progress,
    ) -> Result<Built, AuthorError> {
        let compiled = self.compile(effort, progress)?;
        let mut module = match effort {
            Effort::Release => {
                progress.say("optimising");
                keep_own_names(&optimise(&compiled, progress)?, &self.name)
            }
            Effort::Quick => {
                std::fs::read(&compiled).map_err(|error| AuthorError::file(&compiled, &error))?
            }
        };
        let needed = inspect(&module, engine);
        if needed.declared.is_none() {
            write_manifest(&mut module, &needed.needed, self.upstreams.as_deref());
        }
        let inspection = inspect(&module, engine);
        if let Some(reason) = &inspection.refused {
            return Err(AuthorError::Failure(format!(
                "the gateway would refuse {}: {reason}",
                self.name
            )));
        }
        let path = self.module(effort);
        leave(&path, &module)?;
        Ok(Built { path, inspection })
    }

    fn compile(&self, effort: Effort, progress: &Progress) -> Result<PathBuf, AuthorError> {
        let toolchain = find_toolchain(progress)?;
        progress.say(&format!("compiling {} with {}", self.name, toolchain.describe()));
        let mut command = toolchain.build_command(&self.folder, effort);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if !progress.is_watched() {
            command.arg("--quiet");
        }
        let ended = command
            .status()
            .map_err(|error| AuthorError::Failure(format!("cargo does not start: {error}")))?;
        if !ended.success() {
            return Err(AuthorError::Failure(format!("{} does not compile: see above", self.name)));
        }
        Ok(self.compiled(TRIPLE, effort))
    }
}

/// Whoever watches the file never sees half of it.
fn leave(path: &std::path::Path, module: &[u8]) -> Result<(), AuthorError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| AuthorError::file(folder, &error))?;
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, module).map_err(|error| AuthorError::file(&partial, &error))?;
    fs::rename(&partial, path).map_err(|error| AuthorError::file(path, &error))
}
