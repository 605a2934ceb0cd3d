//! `portcullis validate`: every problem at once, found as a reload would find it.

use std::process::ExitCode;

use portcullis_message::HeadRules;
use portcullis_snapshot::{Compiled, Compiler, PluginHost};
use portcullis_telemetry::Registry;
use portcullis_wasm::Engine;

use super::read_configuration;
use crate::args::ValidateArguments;
use crate::builtin::builtin;
use crate::command_error::CommandError;
use crate::report::{has_errors, write_problems};

/// Plugins are started once each, on one imagined worker.
const WORKERS: usize = 1;

/// Reports on standard output; exit status 1 where there are errors.
pub(crate) fn validate(arguments: &ValidateArguments) -> Result<ExitCode, CommandError> {
    let (model, problems) =
        read_configuration(&arguments.paths, &arguments.mesh_certificates, HeadRules::SAFEST)?;
    let registry = Registry::new();
    let engine = Engine::new()
        .map_err(|error| CommandError::failure("the Wasm engine does not start", error))?;
    let plugins = PluginHost::new(engine, registry.clone(), builtin, WORKERS);
    let mut compiler = Compiler::new(registry, Some(plugins));
    let problems = match compiler.compile(model, problems, None) {
        Compiled::Changed(snapshot) => snapshot.problems,
        Compiled::Unchanged => Vec::new(),
    };
    write_problems(&problems, arguments.output, &mut std::io::stdout().lock())
        .map_err(|error| CommandError::failure("standard output", error))?;
    Ok(if has_errors(&problems) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
