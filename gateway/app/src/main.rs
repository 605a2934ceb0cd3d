//! `portcullis`: arguments, wiring, signals.

mod args;
mod builtin;
mod certificate_files;
mod command_error;
mod commands;
mod compatibility;
mod configuration;
mod control;
mod descriptors;
mod drain;
mod handover;
mod inheritance;
mod locality;
mod log;
mod memory;
mod offline;
mod output;
mod overload;
mod own_binary;
mod plugin_arguments;
mod plugin_supply;
mod process;
mod proxy_headers;
mod ready_file;
mod report;
mod route_tests;
mod side_ports;
mod signals;
mod snippet;
mod state_dir;
mod systemd;
mod topology;
mod upgrade;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Arguments, Command};
use crate::command_error::CommandError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status for a failure.
const FAILURE: u8 = 1;
/// Exit status for wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_usage(&error),
    };
    let outcome = match arguments.command {
        Command::Serve(serve) => commands::serve(*serve),
        Command::Validate(validate) => commands::validate(&validate),
        Command::Explain(explain) => commands::explain(&explain),
        Command::Test(test) => commands::test(&test),
        Command::Plugin(plugin) => commands::plugin(&plugin),
        Command::Version => commands::version(),
    };
    match outcome {
        Ok(code) => code,
        Err(CommandError::Usage(message)) => complain(&message, USAGE),
        Err(CommandError::Failure(message)) => complain(&message, FAILURE),
    }
}

/// Errors go to standard error, one line each.
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("portcullis: {message}");
    ExitCode::from(code)
}

fn refuse_usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // Help was asked for, or is what somebody without an idea needs.
        let _ = error.print();
        let asked = error.kind() == ErrorKind::DisplayHelp;
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
    }
    let text = error.to_string();
    let message: Vec<&str> =
        text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    complain(
        &format!("{}; see portcullis --help", message.join(" ").trim_start_matches("error: ")),
        USAGE,
    )
}
