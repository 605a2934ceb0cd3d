//! `portcullis plugin push`

use std::process::ExitCode;

use portcullis_authoring::{Progress, PushSettings, push_module};
use portcullis_supply::Encryption;

use crate::command_error::CommandError;
use crate::commands::author_tools::{engine, runtime};
use crate::plugin_arguments::PushArguments;

/// Standard output gets the manifest to apply, and nothing else.
pub(super) fn plugin_push(arguments: &PushArguments) -> Result<ExitCode, CommandError> {
    let settings = PushSettings {
        module: arguments.module.clone(),
        destination: arguments.destination.clone(),
        key: arguments.key.clone(),
        authorities: arguments.registry_ca.clone(),
        encryption: if arguments.insecure { Encryption::Loopback } else { Encryption::Tls },
    };
    let (engine, progress) = (engine()?, Progress::shown());
    let manifest = runtime()?.block_on(push_module(&settings, &engine, &progress))?;
    print!("{manifest}");
    Ok(ExitCode::SUCCESS)
}
