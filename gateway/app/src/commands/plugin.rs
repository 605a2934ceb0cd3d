//! `portcullis plugin …`: for authors of plugins.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_authoring::{AuthorError, Progress, Project, begin_project};
use portcullis_wasm::Engine;

use crate::args::Output;
use crate::command_error::CommandError;
use crate::commands::plugin_test::plugin_test;
use crate::plugin_arguments::{BuildArguments, InspectArguments, NewArguments, PluginCommand};

/// Does what was asked.
pub(crate) fn plugin(command: &PluginCommand) -> Result<ExitCode, CommandError> {
    match command {
        PluginCommand::New(arguments) => new(arguments),
        PluginCommand::Build(arguments) => build(arguments),
        PluginCommand::Test(arguments) => plugin_test(arguments),
        PluginCommand::Inspect(arguments) => inspect(arguments),
    }
}

fn new(arguments: &NewArguments) -> Result<ExitCode, CommandError> {
    let name = &arguments.name;
    begin_project(Path::new("."), name, arguments.template.into())?;
    println!(
        "{name} is begun. Next:\n    cd {name}\n    portcullis plugin build    the module, target/portcullis/{name}.wasm"
    );
    Ok(ExitCode::SUCCESS)
}

fn build(arguments: &BuildArguments) -> Result<ExitCode, CommandError> {
    let project = Project::find(&arguments.path)?;
    let built = project.build(&*engine()?, &Progress::shown())?;
    println!("{}  {:.1} KiB", built.path.display(), built.inspection.size as f64 / 1024.0);
    Ok(ExitCode::SUCCESS)
}

/// Exit status 1 when the gateway would refuse the module.
fn inspect(arguments: &InspectArguments) -> Result<ExitCode, CommandError> {
    let module = std::fs::read(&arguments.module)
        .map_err(|error| CommandError::failure(&arguments.module.display().to_string(), error))?;
    let found = portcullis_authoring::inspect(&module, &*engine()?);
    match arguments.output {
        Output::Json => println!("{:#}", found.to_json()),
        Output::Text => print!("{}", found.to_text()),
    }
    Ok(if found.refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The engine that serves.
pub(super) fn engine() -> Result<Arc<Engine>, CommandError> {
    Engine::new().map_err(|error| CommandError::Failure(error.to_string()))
}

impl From<AuthorError> for CommandError {
    fn from(error: AuthorError) -> Self {
        match error {
            AuthorError::Usage(message) => CommandError::Usage(message),
            AuthorError::Failure(message) => CommandError::Failure(message),
        }
    }
}
