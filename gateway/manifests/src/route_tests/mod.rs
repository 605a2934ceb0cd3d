//! Files of route tests: requests, and what is expected of each. They are YAML, read as strictly as manifests.

mod expectations;

use std::net::IpAddr;

use portcullis_model::{Origin, Problem};

pub use expectations::{Expectation, Wanted};

use self::expectations::read_expectations;
use crate::codes;
use crate::deep_threads::in_parts;
use crate::documents::{Document, split};
use crate::draft::SourceFile;
use crate::parsed::ParsedDocument;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A request and what is expected of it.
#[derive(Clone, Debug)]
pub struct RouteCase {
    /// What it is called.
    pub name: String,
    /// Where it is written.
    pub origin: Origin,
    /// What is asked.
    pub request: CaseRequest,
    /// What has to come of it; never empty.
    pub expectations: Vec<Expectation>,
}

/// A request of a test.
#[derive(Clone, Debug)]
pub struct CaseRequest {
    /// GET unless written.
    pub method: String,
    /// As for `explain`.
    pub url: String,
    /// `http` or `https` where it is another than the URL's: what a trusted load balancer says.
    pub scheme: Option<&'static str>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The header fields, a name perhaps several times.
    pub headers: Vec<(String, String)>,
    /// Where the URL is written.
    pub url_origin: Origin,
}

static FILE: Schema =
    Schema { what: "a file of route tests", served: &["cases"], not_yet: &[], skipped: &[] };
static CASE: Schema =
    Schema { what: "a case", served: &["name", "request", "expect"], not_yet: &[], skipped: &[] };
static REQUEST: Schema = Schema {
    what: "a request",
    served: &["method", "url", "headers", "scheme", "client"],
    not_yet: &[],
    skipped: &[],
};

/// Reads a file of route tests; what is wrong in it stands among the problems, and the cases that are wrong are left
/// out.
pub fn read_route_tests(file: &SourceFile) -> (Vec<RouteCase>, Vec<Problem>) {
    let documents = split(&file.text);
    let parse = |document: &Document| ParsedDocument::parse(document.text(&file.text));
    let parsed = in_parts(&documents, |part| part.iter().map(parse).collect());
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for (document, parsed) in documents.iter().zip(parsed) {
        let report = Report::new(None, file.path.clone(), document.lines_before);
        if let Some(failure) = &parsed.failure {
            let said =
                (format!("this is not valid YAML: {}", failure.error.message), String::new());
            let origin = report.origin(failure.error.place);
            report.add(Gravity::Breaks, codes::SYNTAX, String::new(), origin, said);
        }
        for node in &parsed.nodes {
            read_file(&Cursor::root(node, &report), &mut cases);
        }
        problems.extend(report.into_problems());
    }
    (cases, problems)
}

fn read_file(root: &Cursor<'_>, cases: &mut Vec<RouteCase>) {
    let Some(list) = root.fields(&FILE) else { return };
    if let Some(list) = list.required("cases") {
        cases.extend(list.items().filter_map(|case| read_case(&case)));
    }
}

fn read_case(case: &Cursor<'_>) -> Option<RouteCase> {
    let fields = case.fields(&CASE)?;
    let request = fields.required("request").and_then(|request| read_request(&request));
    let expectations = fields.required("expect").map(|expect| read_expectations(&expect));
    let request = request?;
    let name = match fields.field("name") {
        Some(name) => name.text()?.to_owned(),
        None => format!("{} {}", request.method, request.url),
    };
    Some(RouteCase { name, origin: case.origin(), request, expectations: expectations? })
}

fn read_request(request: &Cursor<'_>) -> Option<CaseRequest> {
    let fields = request.fields(&REQUEST)?;
    let headers = fields.field("headers").map(|headers| read_headers(&headers)).unwrap_or_default();
    let url = fields.required("url")?;
    Some(CaseRequest {
        method: optional_text(&fields, "method").unwrap_or_else(|| "GET".to_owned()),
        url: url.text()?.to_owned(),
        scheme: fields.field("scheme").and_then(|scheme| read_scheme(&scheme)),
        client: fields.field("client").and_then(|client| read_client(&client)),
        headers,
        url_origin: url.origin(),
    })
}

fn optional_text(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.field(name)?.text().map(str::to_owned)
}

fn read_scheme(scheme: &Cursor<'_>) -> Option<&'static str> {
    match scheme.text()? {
        "http" => Some("http"),
        "https" => Some("https"),
        other => {
            scheme.refuse(format!("`{other}` is no scheme of requests"), "write http or https");
            None
        }
    }
}

fn read_client(client: &Cursor<'_>) -> Option<IpAddr> {
    let text = client.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        client.refuse(format!("`{text}` is not an IP address"), "");
    }
    address
}

/// A value, or a list of them, by name.
fn read_headers(headers: &Cursor<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (name, value) in headers.entries() {
        if value.is_list() {
            let values = value.items().filter_map(|item| item.text().map(str::to_owned));
            fields.extend(values.map(|value| (name.to_owned(), value)));
        } else if let Some(value) = value.text() {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<RouteCase>, Vec<String>) {
        let file = SourceFile { path: "t.yaml".into(), directory: "".into(), text: text.into() };
        let (cases, problems) = read_route_tests(&file);
        (cases, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn cases_are_read_with_their_places() {
        let (cases, problems) = read(
            "cases:\n- name: one\n  request:\n    method: POST\n    url: http://a/b\n    scheme: https\n    client: 192.0.2.1\n    headers: {x-a: b, x-c: [d, e]}\n  expect: {status: 404}\n- request: {url: http://a/}\n  expect: {outcome: not_found}\n---\ncases:\n- request: {url: http://c/}\n  expect: {route: null}\n",
        );
        assert_eq!(problems, [""; 0]);
        let request = &cases[0].request;
        assert_eq!((&*request.method, request.scheme), ("POST", Some("https")));
        assert_eq!(request.client, Some("192.0.2.1".parse().unwrap()));
        let fields: Vec<_> = request.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(fields, ["x-a=b", "x-c=d", "x-c=e"]);
        assert_eq!((&*cases[1].name, cases[1].origin.line), ("GET http://a/", 10));
        assert_eq!((cases[2].origin.line, cases[2].request.url_origin.line), (14, 14));
    }

    #[test]
    fn every_wrong_case_is_said_at_its_place() {
        for (text, wanted) in [
            ("cases: [", "t.yaml:1:"),
            (
                "case: []",
                "error[PC0206] case: a file of route tests has no field `case`; did you mean `cases`?",
            ),
            ("cases: [{nam: a}]", "PC0206"),
            ("cases: [{expect: {status: 200}}]", "PC0209"),
            ("cases: [{request: {url: http://a/}}]", "PC0209"),
            ("cases: [{request: {}, expect: {status: 200}}]", "error[PC0209] cases[0].request.url"),
            ("cases: [{request: {url: http://a/, scheme: ftp}, expect: {status: 200}}]", "PC0210"),
            ("cases: [{request: {url: http://a/, client: me}, expect: {status: 200}}]", "PC0210"),
            ("cases: [{request: {url: http://a/, headers: [a]}, expect: {status: 200}}]", "PC0208"),
            (
                "cases: [{request: {url: http://a/, headers: {a: 1}}, expect: {status: 200}}]",
                "PC0208",
            ),
            ("cases: [{request: {url: http://a/}, expect: {}}]", "error[PC0209] cases[0].expect"),
            (
                "cases: [{request: {url: http://a/}, expect: {statsu: 200}}]",
                "did you mean `status`?",
            ),
            ("cases: [{request: {url: http://a/}, expect: {status: 1000}}]", "PC0210"),
            ("cases: [{request: {url: http://a/}, expect: {outcome: sent}}]", "PC0210"),
            ("cases: [{request: {url: http://a/}, expect: {clusters: {a: many}}}]", "PC0208"),
            ("cases: [{request: {url: http://a/}, expect: {clusters: {a: 101}}}]", "PC0210"),
            ("cases: [{request: {url: http://a/}, expect: {headers: {a b: c}}}]", "PC0210"),
            ("cases: [{request: {url: http://a/}, expect: {plugins: a}}]", "PC0208"),
            ("- a", "PC0208"),
        ] {
            let (_, problems) = read(text);
            assert!(
                problems.iter().any(|problem| problem.contains(wanted)),
                "{text}: {problems:?}"
            );
        }
    }
}
