//! From a file to a suite; what is wrong with it is said with its line.

use std::path::Path;

use portcullis_model::parse_duration;
use serde_saphyr::Spanned;

use crate::author_error::AuthorError;
use crate::none_or::NoneOr;
use crate::suite::{Case, Expectations, Response, Suite};

/// Reads a suite.
///
/// # Errors
/// The file cannot be read, holds what no suite has, or expects what cannot be.
pub(crate) fn read_suite(path: &Path) -> Result<Suite, AuthorError> {
    let text = std::fs::read_to_string(path).map_err(|error| AuthorError::file(path, &error))?;
    parse_suite(&text)
        .map_err(|(line, what)| AuthorError::Usage(format!("{}:{line}: {what}", path.display())))
}

fn parse_suite(text: &str) -> Result<Suite, (u64, String)> {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let suite: Suite = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| location.line());
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        (line, first.split(" at line ").next().unwrap_or_default().trim().to_owned())
    })?;
    if suite.cases.is_empty() {
        return Err((1, "it has no cases".to_owned()));
    }
    for case in &suite.cases {
        check(&case.value)
            .map_err(|what| (line_of(case), format!("case `{}`: {what}", case.value.name)))?;
    }
    Ok(suite)
}

/// The line on which a case begins.
pub(crate) fn line_of(case: &Spanned<Case>) -> u64 {
    case.referenced.line()
}

/// Expectations that no run can meet, and values that mean nothing.
fn check(case: &Case) -> Result<(), String> {
    let Expectations { refused, request, response, log, metrics, calls } = &case.expect;
    let nothing_else = request.is_none()
        && response.is_none()
        && log.is_empty()
        && metrics.is_empty()
        && calls.is_none();
    if refused.is_some() && !nothing_else {
        return Err("a filter that is refused meets no request; expect `refused` alone".to_owned());
    }
    if refused.is_none() && nothing_else {
        return Err("it expects nothing".to_owned());
    }
    if response
        .as_ref()
        .is_some_and(|response| response.method.is_some() || response.path.is_some())
    {
        return Err("a response has neither `method` nor `path`".to_owned());
    }
    if let Some(NoneOr::This(request)) = request
        && request.status.is_some()
    {
        return Err("a request has no `status`".to_owned());
    }
    if !case.request.path.starts_with('/') {
        return Err("`request.path` begins with `/`".to_owned());
    }
    if case.request.claims.as_ref().is_some_and(|claims| claims.contains_key("iss")) {
        return Err("the suite itself issues its tokens; leave `iss` out of `claims`".to_owned());
    }
    check_response(&case.response)?;
    for call in &case.calls {
        if let Some(NoneOr::This(answer)) = &call.answer {
            check_response(answer)?;
        }
        if call.expect.status.is_some() {
            return Err(format!(
                "a call to `{}` has no `status`; that is the answer's",
                call.cluster
            ));
        }
    }
    Ok(())
}

fn check_response(response: &Response) -> Result<(), String> {
    if !(200..=599).contains(&response.status) {
        return Err(format!(
            "a service answers with a status from 200 to 599, not {}",
            response.status
        ));
    }
    response.after.as_deref().map_or(Ok(()), |text| parse_duration(text).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_read_whole() {
        let suite = parse_suite(
            "configuration: { a: 1 }\ncases:\n- name: one\n  request: { body: [a, b], headers: { x: [y, z] } }\n  calls:\n  \
             - { cluster: auth, answer: none }\n  expect: { request: none, response: { headers: { x: null } }, calls: 1 }\n",
        )
        .unwrap();
        let case = &suite.cases.first().unwrap().value;
        assert_eq!(case.expect.request, Some(NoneOr::None));
        assert!(matches!(case.calls.first().unwrap().answer, Some(NoneOr::None)));
        assert_eq!(suite.configuration.unwrap()["a"], 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, what) in [
            ("cases: []\n", 1, "no cases"),
            ("cases:\n- name: a\n  requets: {}\n  expect: { calls: 0 }\n", 3, "requets"),
            ("cases:\n- name: a\n  expect:\n    response: { statsu: 200 }\n", 4, "statsu"),
            ("cases:\n- name: a\n  expect:\n    request: { statsu: 200 }\n", 4, "statsu"),
            ("cases:\n- name: a\n  expect: {}\n", 2, "expects nothing"),
            ("cases:\n- name: a\n  expect: { refused: x, calls: 1 }\n", 2, "alone"),
            ("cases:\n- name: a\n  expect: { response: { path: / } }\n", 2, "neither"),
            (
                "cases:\n- name: a\n  request: { claims: { iss: me } }\n  expect: { calls: 0 }\n",
                2,
                "iss",
            ),
            ("cases:\n- name: a\n  response: { status: 99 }\n  expect: { calls: 0 }\n", 2, "99"),
            ("cases:\n- name: a\n  response: { after: soon }\n  expect: { calls: 0 }\n", 2, "soon"),
            (
                "cases:\n- name: a\n  expect: { calls: 0 }\n  calls:\n  - cluster: b\n    answer: nothing\n",
                6,
                "nothing",
            ),
        ] {
            let (found, said) = parse_suite(text).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
            assert_eq!(found, line, "{text}: {said}");
        }
    }
}
