//! The verdicts, for people and programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Coverage, Failure, Verdict};
use crate::report::counted;
use crate::snippet::{Colour, Tone, harmless};

/// So many rules that no case reaches are listed.
const SHOWN: usize = 20;

/// A line for each case, and what differs in those that fail.
pub(crate) fn write_text(
    verdicts: &[Verdict<'_>],
    coverage: &Coverage,
    out: &mut impl Write,
) -> io::Result<()> {
    let colour = Colour::of_output();
    for verdict in verdicts {
        write_verdict(verdict, colour, out)?;
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let tone = if failed > 0 { Tone::Error } else { Tone::Good };
    let failed = colour.paint(tone, &format!("{failed} failed"));
    let (reached, rules) = (coverage.reached(), coverage.rules);
    let covered =
        format!("{reached} of {rules} rules reached ({:.0} %)", coverage.percent().floor());
    writeln!(out, "{}, {failed}; {covered}", counted(verdicts.len(), "case"))?;
    for (route, source) in coverage.unreached.iter().take(SHOWN) {
        writeln!(out, "  not reached: {}  ({}:{})", harmless(route), source.file, source.line)?;
    }
    match coverage.unreached.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "  … {more} more"),
    }
}

fn write_verdict(verdict: &Verdict<'_>, colour: Colour, out: &mut impl Write) -> io::Result<()> {
    let case = verdict.case;
    let name = harmless(&case.name);
    if verdict.failures.is_empty() {
        return writeln!(out, "{} {name}", colour.paint(Tone::Good, "ok    "));
    }
    writeln!(out, "{} {name}", colour.paint(Tone::Error, "FAILED"))?;
    let place = format!("{}:{}", case.origin.file, case.origin.line);
    writeln!(out, "       {} {}  ({place})", case.request.method, harmless(&case.request.url))?;
    for failure in &verdict.failures {
        let Failure { field, expected, actual, origin } = failure;
        writeln!(
            out,
            "       {}  ({}:{})",
            colour.paint(Tone::Strong, field),
            origin.file,
            origin.line
        )?;
        writeln!(out, "         {} {}", colour.paint(Tone::Good, "expected:"), harmless(expected))?;
        writeln!(out, "         {} {}", colour.paint(Tone::Error, "actual:  "), harmless(actual))?;
    }
    let explanation = verdict.explanation.as_ref();
    if let Some((route, source)) =
        explanation.and_then(|each| each.route.as_ref().zip(each.source.as_ref()))
    {
        writeln!(out, "       it is taken by {route}  ({}:{})", source.file, source.line)?;
    }
    Ok(())
}

/// The same for programs.
pub(crate) fn write_json(
    verdicts: &[Verdict<'_>],
    coverage: &Coverage,
    out: &mut impl Write,
) -> io::Result<()> {
    let unreached = coverage.unreached.iter();
    let unreached = unreached.map(|(route, source)| json!({ "route": route, "source": source }));
    let report = json!({
        "cases": verdicts.iter().map(verdict_json).collect::<Vec<_>>(),
        "failed": verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count(),
        "coverage": {
            "rules": coverage.rules,
            "reached": coverage.reached(),
            "percent": coverage.percent(),
            "unreached": unreached.collect::<Vec<_>>(),
        },
    });
    writeln!(out, "{report:#}")
}

fn verdict_json(verdict: &Verdict<'_>) -> Value {
    let failure = |failure: &Failure| {
        json!({
            "field": failure.field,
            "expected": failure.expected,
            "actual": failure.actual,
            "file": &*failure.origin.file,
            "line": failure.origin.line,
        })
    };
    json!({
        "name": verdict.case.name,
        "file": &*verdict.case.origin.file,
        "line": verdict.case.origin.line,
        "passed": verdict.failures.is_empty(),
        "failures": verdict.failures.iter().map(failure).collect::<Vec<_>>(),
        "explanation": verdict.explanation,
    })
}
