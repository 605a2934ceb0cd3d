//! `portcullis plugin bench`: what the callbacks of a plugin cost.

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_authoring::{BenchTask, Effort, Progress, Project, bench};

use crate::command_error::CommandError;
use crate::commands::author_tools::engine;
use crate::output::Output;
use crate::plugin_arguments::BenchArguments;

/// Builds the project, unless a module is named, and measures it.
pub(super) fn plugin_bench(arguments: &BenchArguments) -> Result<ExitCode, CommandError> {
    let (engine, progress) = (engine()?, Progress::shown());
    let (name, module) = match &arguments.module {
        Some(module) => (name_of(module), module.clone()),
        None => {
            let project = Project::find(&arguments.path)?;
            let built = project.build(Effort::Release, &engine, &progress)?;
            (project.name, built.path)
        }
    };
    let task = BenchTask { folder: arguments.path.clone(), module, name };
    let measured = bench(&task, &engine, &progress)?;
    match arguments.output {
        Output::Json => println!("{:#}", measured.to_json()),
        Output::Text => print!("{}", measured.to_text()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A module's file without its ending.
fn name_of(module: &std::path::Path) -> String {
    let stem = module.file_stem().map(PathBuf::from).unwrap_or_default();
    stem.display().to_string()
}
