//! `portcullis test`: route tests, judged by the matcher that serves.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_manifests::{RouteCase, SourceFile, read_route_tests};
use portcullis_model::Problem;

use crate::args::TestArguments;
use crate::command_error::CommandError;
use crate::configuration::require_paths;
use crate::offline::{caution, compile};
use crate::output::Output;
use crate::report::write_problems;
use crate::route_tests::{Coverage, judge, write_json, write_text};

/// What the file says of its own is wrong, so that nothing was tested.
const WRONG_CASES: u8 = 2;

/// Judges every case; exit status 1 where one fails or too few rules are reached.
pub(crate) fn test(arguments: &TestArguments) -> Result<ExitCode, CommandError> {
    let (cases, problems) = read_cases(&arguments.cases)?;
    let out = &mut std::io::stdout().lock();
    let failed = |error| CommandError::failure("standard output", error);
    if !problems.is_empty() {
        write_problems(&problems, &[], arguments.output, out).map_err(failed)?;
        return Ok(ExitCode::from(WRONG_CASES));
    }
    let snapshot = compile(&arguments.configuration)?;
    if let Some(caution) = caution(&snapshot) {
        let _ = writeln!(std::io::stderr(), "{caution}");
    }
    let verdicts: Vec<_> = cases.iter().map(|case| judge(&snapshot, case)).collect();
    let coverage = Coverage::of(&snapshot, &verdicts);
    match arguments.output {
        Output::Json => write_json(&verdicts, &coverage, out),
        Output::Text => write_text(&verdicts, &coverage, out),
    }
    .map_err(failed)?;
    let enough = arguments.min_coverage.is_none_or(|least| coverage.percent() >= f64::from(least));
    let passed = verdicts.iter().all(|verdict| verdict.failures.is_empty());
    if let (false, Some(least), Output::Text) = (enough, arguments.min_coverage, arguments.output) {
        writeln!(out, "that is less than --min-coverage {least}").map_err(failed)?;
    }
    Ok(if passed && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_cases(paths: &[PathBuf]) -> Result<(Vec<RouteCase>, Vec<Problem>), CommandError> {
    require_paths(paths)?;
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let file =
            SourceFile { path: path.display().to_string().into(), directory, text: text.into() };
        let (read, wrong) = read_route_tests(&file);
        cases.extend(read);
        problems.extend(wrong);
    }
    if cases.is_empty() && problems.is_empty() {
        return Err(CommandError::Usage("the files hold no cases".to_owned()));
    }
    Ok((cases, problems))
}
