//! `portcullis plugin test`: suites through a plugin, and how they ended.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_authoring::{
    Effort, Progress, Project, Stand, Strictness, SuiteCosts, Verdict, inspect, run_suite,
    suite_costs, suites_in,
};
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::author_tools::{engine, own_program, runtime};
use crate::output::Output;
use crate::plugin_arguments::PluginTestArguments;

/// Exit status 1 where a case fails.
pub(super) fn plugin_test(arguments: &PluginTestArguments) -> Result<ExitCode, CommandError> {
    let suites = suites(arguments)?;
    let module = module(arguments)?;
    let stand = stand(arguments)?;
    let runtime = runtime()?;
    let mut verdicts = Vec::new();
    for suite in &suites {
        verdicts.extend(runtime.block_on(run_suite(suite, &module, &stand))?);
    }
    let costs = costs(&suites, &module, &stand)?;
    report(&verdicts, &costs, arguments.output)
        .map_err(|error| CommandError::failure("standard output", error))?;
    let passed = verdicts.iter().all(|verdict| verdict.failures.is_empty());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn suites(arguments: &PluginTestArguments) -> Result<Vec<PathBuf>, CommandError> {
    if !arguments.suite.is_empty() {
        return Ok(arguments.suite.clone());
    }
    Ok(suites_in(&arguments.path.join("tests"))?)
}

fn module(arguments: &PluginTestArguments) -> Result<PathBuf, CommandError> {
    let module = match &arguments.module {
        Some(module) => {
            refuse_what_is_none(module)?;
            module.clone()
        }
        None => {
            Project::find(&arguments.path)?
                .build(Effort::Release, &*engine()?, &Progress::shown())?
                .path
        }
    };
    module
        .canonicalize()
        .map_err(|error| CommandError::failure(&module.display().to_string(), error))
}

/// Before anything is started on it: a host would say less of what it is.
fn refuse_what_is_none(path: &Path) -> Result<(), CommandError> {
    let module = std::fs::read(path)
        .map_err(|error| CommandError::failure(&path.display().to_string(), error))?;
    match inspect(&module, &*engine()?).refused {
        Some(reason) => {
            let path = path.display();
            Err(CommandError::Failure(format!("the gateway would refuse {path}: {reason}")))
        }
        None => Ok(()),
    }
}

fn stand(arguments: &PluginTestArguments) -> Result<Stand, CommandError> {
    if let Some(envoy) = &arguments.envoy {
        return Ok(Stand::Envoy { program: envoy.clone() });
    }
    let program = own_program()?;
    let strictness = if arguments.envoy_strict { Strictness::Envoy } else { Strictness::Lenient };
    Ok(Stand::Gateway { program, strictness })
}

/// Of our engine; what an Envoy's takes is not known.
fn costs(
    suites: &[PathBuf],
    module: &Path,
    stand: &Stand,
) -> Result<Vec<SuiteCosts>, CommandError> {
    if let Stand::Envoy { .. } = stand {
        return Ok(Vec::new());
    }
    let engine = engine()?;
    let costs = suites.iter().map(|suite| suite_costs(suite, module, &engine));
    Ok(costs.collect::<Result<_, _>>()?)
}

fn report(verdicts: &[Verdict], costs: &[SuiteCosts], output: Output) -> std::io::Result<()> {
    let out = &mut std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{:#}", to_json(verdicts, costs)),
        Output::Text => verdicts
            .iter()
            .try_for_each(|verdict| write_verdict(verdict, out))
            .and_then(|()| write_sum(verdicts, out))
            .and_then(|()| costs.iter().try_for_each(|costs| write!(out, "{}", costs.to_text()))),
    }
}

fn write_verdict(verdict: &Verdict, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let milliseconds = verdict.took.as_secs_f64() * 1e3;
    if verdict.failures.is_empty() {
        return writeln!(out, "ok      {} ({milliseconds:.1} ms)", verdict.name);
    }
    writeln!(out, "FAILED  {}  at {}", verdict.name, verdict.place)?;
    verdict.failures.iter().try_for_each(|failure| writeln!(out, "          {failure}"))
}

fn write_sum(verdicts: &[Verdict], out: &mut impl std::io::Write) -> std::io::Result<()> {
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    writeln!(out, "{} cases, {failed} failed", verdicts.len())
}

fn to_json(verdicts: &[Verdict], costs: &[SuiteCosts]) -> serde_json::Value {
    let cases = verdicts.iter().map(|verdict| {
        json!({
            "name": verdict.name,
            "place": verdict.place,
            "passed": verdict.failures.is_empty(),
            "failures": verdict.failures,
            "milliseconds": verdict.took.as_secs_f64() * 1e3,
        })
    });
    let costs: Vec<_> = costs.iter().map(SuiteCosts::to_json).collect();
    json!({ "cases": cases.collect::<Vec<_>>(), "costs": costs })
}
