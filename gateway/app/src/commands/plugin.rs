//! `portcullis plugin …`: for authors of plugins.

use std::path::Path;
use std::process::ExitCode;

use portcullis_authoring::{DevSettings, Effort, Progress, Project, begin_project, develop};

use crate::command_error::CommandError;
use crate::commands::author_tools::{engine, own_program, runtime};
use crate::commands::plugin_bench::plugin_bench;
use crate::commands::plugin_push::plugin_push;
use crate::commands::plugin_test::plugin_test;
use crate::output::Output;
use crate::plugin_arguments::{
    BuildArguments, DevArguments, InspectArguments, NewArguments, PluginCommand,
};

/// Does what was asked.
pub(crate) fn plugin(command: &PluginCommand) -> Result<ExitCode, CommandError> {
    match command {
        PluginCommand::New(arguments) => new(arguments),
        PluginCommand::Build(arguments) => build(arguments),
        PluginCommand::Dev(arguments) => dev(arguments),
        PluginCommand::Bench(arguments) => plugin_bench(arguments),
        PluginCommand::Test(arguments) => plugin_test(arguments),
        PluginCommand::Inspect(arguments) => inspect(arguments),
        PluginCommand::Push(arguments) => plugin_push(arguments),
    }
}

fn new(arguments: &NewArguments) -> Result<ExitCode, CommandError> {
    let name = &arguments.name;
    begin_project(Path::new("."), name, arguments.template.into())?;
    println!(
        "{name} is begun. Next:\n    cd {name}\n    portcullis plugin dev      served on an example, rebuilt whenever you save\n    \
         portcullis plugin test     the cases in tests/*.yaml\n    portcullis plugin build    the module, target/portcullis/{name}.wasm"
    );
    Ok(ExitCode::SUCCESS)
}

fn build(arguments: &BuildArguments) -> Result<ExitCode, CommandError> {
    let project = Project::find(&arguments.path)?;
    let built = project.build(Effort::Release, &*engine()?, &Progress::shown())?;
    println!("{}  {:.1} KiB", built.path.display(), built.inspection.size as f64 / 1024.0);
    Ok(ExitCode::SUCCESS)
}

/// Serves until somebody ends it.
fn dev(arguments: &DevArguments) -> Result<ExitCode, CommandError> {
    let project = Project::find(&arguments.path)?;
    let settings = DevSettings { program: own_program()?, port: arguments.port };
    let engine = engine()?;
    runtime()?.block_on(async {
        let say = |line: &str| println!("{line}");
        tokio::select! {
            ended = develop(project, engine, &settings, say) => ended?,
            () = asked_to_end() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// SIGINT or SIGTERM; the gateway beside it is to go with it.
async fn asked_to_end() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    // Where signals cannot be had, their default ends the command as well.
    let _ = tokio::signal::ctrl_c().await;
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
