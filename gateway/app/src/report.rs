//! Writing problems for people and programs.

use std::collections::HashMap;
use std::io::{self, Write};

use portcullis_manifests::status::ObjectStatus;
use portcullis_model::{Problem, Severity};
use serde_json::{Value, json};

use crate::output::Output;
use crate::snippet::{Colour, Tone, harmless, snippet};

/// Writes all problems; JSON also when there are none, and with the status of objects that have one.
pub(crate) fn write_problems(
    problems: &[Problem],
    status: &[ObjectStatus],
    output: Output,
    out: &mut impl Write,
) -> io::Result<()> {
    match output {
        Output::Json => {
            let problems: Vec<_> = problems.iter().map(problem_json).collect();
            let report = match status {
                [] => json!({ "problems": problems }),
                status => json!({ "problems": problems, "status": status }),
            };
            writeln!(out, "{report:#}")
        }
        Output::Text => write_text(problems, out),
    }
}

/// Whether any of them is an error.
pub(crate) fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// One problem, with the keys of `validate --output json`.
pub(crate) fn problem_json(problem: &Problem) -> Value {
    json!({
        "code": problem.code.to_string(),
        "severity": problem.severity.as_str(),
        "object": problem.object.as_ref().map(ToString::to_string),
        "field": problem.field,
        "file": &*problem.origin.file,
        "line": problem.origin.line,
        "column": problem.origin.column,
        "message": problem.message,
        "help": problem.help,
    })
}

fn write_text(problems: &[Problem], out: &mut impl Write) -> io::Result<()> {
    let colour = Colour::of_output();
    let mut sources = SourceLines::default();
    for problem in problems {
        write_problem(problem, &mut sources, colour, out)?;
    }
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (errors_tone, warnings_tone) = (
        if errors > 0 { Tone::Error } else { Tone::Good },
        if warnings > 0 { Tone::Warning } else { Tone::Good },
    );
    let errors = colour.paint(errors_tone, &counted(errors, "error"));
    writeln!(out, "{errors}, {}", colour.paint(warnings_tone, &counted(warnings, "warning")))
}

/// One problem as compilers show theirs: what, where, the line, what to do.
pub(crate) fn write_problem(
    problem: &Problem,
    sources: &mut SourceLines,
    colour: Colour,
    out: &mut impl Write,
) -> io::Result<()> {
    let tone = match problem.severity {
        Severity::Error => Tone::Error,
        Severity::Warning => Tone::Warning,
    };
    let headline = format!("{}[{}]", problem.severity.as_str(), problem.code);
    let message = colour.paint(Tone::Strong, &format!(": {}", harmless(&problem.message)));
    writeln!(out, "{}{message}", colour.paint(tone, &headline))?;
    let frame = |text: &str| colour.paint(Tone::Frame, text);
    writeln!(out, "  {} {}", frame("-->"), harmless(&problem.origin.to_string()))?;
    if let Some(line) = sources.line_of(problem) {
        let (number, column) = (problem.origin.line, problem.origin.column);
        write!(out, "{}", snippet(line, number, column, tone, colour))?;
    }
    if let Some(object) = &problem.object {
        let field = if problem.field.is_empty() { "" } else { ", " };
        let place = harmless(&format!("in {object}{field}{}", problem.field));
        writeln!(out, "  {} {place}", frame("="))?;
    }
    if !problem.help.is_empty() {
        writeln!(out, "  {} help: {}", frame("="), harmless(&problem.help))?;
    }
    writeln!(out)
}

/// `1 error`, `2 errors`
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The lines of the files that problems point at, read once.
#[derive(Default)]
pub(crate) struct SourceLines(HashMap<String, Vec<String>>);

impl SourceLines {
    /// The line that a problem points at, unless it may be of a Secret: reports end up in logs.
    fn line_of(&mut self, problem: &Problem) -> Option<&str> {
        let file = &*problem.origin.file;
        let lines = self.0.entry(file.to_owned()).or_insert_with(|| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        });
        let is_secret = match &problem.object {
            Some(object) => &*object.kind == "Secret",
            None => lines.iter().any(|line| line.contains("Secret")),
        };
        let index = usize::try_from(problem.origin.line).ok()?.checked_sub(1)?;
        lines.get(index).filter(|_| !is_secret).map(String::as_str)
    }
}
