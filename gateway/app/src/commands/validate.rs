//! `portcullis validate`: every problem at once, found as a reload would find it.

use std::process::ExitCode;

use portcullis_snapshot::{Compiled, Compiler};
use portcullis_telemetry::Registry;

use crate::args::ValidateArguments;
use crate::command_error::CommandError;
use crate::configuration::{Configuration, read_configuration};
use crate::plugin_supply::checking_host;
use crate::report::{has_errors, write_problems};
use crate::state_dir;

/// Reports on standard output; exit status 1 where there are errors.
pub(crate) fn validate(arguments: &ValidateArguments) -> Result<ExitCode, CommandError> {
    let workload = arguments.workload.workload();
    let Configuration { model, problems, status } =
        read_configuration(&arguments.paths, &workload, None)?;
    let registry = Registry::new();
    if let Some(directory) = &arguments.state_dir {
        state_dir::prepare(directory).map_err(CommandError::Failure)?;
    }
    let plugins = checking_host(arguments.state_dir.as_deref(), &registry)?;
    let mut compiler = Compiler::new(registry, Some(plugins));
    let problems = match compiler.compile(model, problems, None) {
        Compiled::Changed(snapshot) => snapshot.problems,
        Compiled::Unchanged => Vec::new(),
    };
    write_problems(&problems, &status, arguments.output, &mut std::io::stdout().lock())
        .map_err(|error| CommandError::failure("standard output", error))?;
    Ok(if has_errors(&problems) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
