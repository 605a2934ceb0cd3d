//! The exchange that a filter is measured with: the first case of its suite, else one like most that pass a gateway.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portcullis_exchange::{RequestHead, ResponseHead};
use serde_json::Value;

use crate::author_error::AuthorError;
use crate::message::header_map;
use crate::one_or_more::OneOrMore;
use crate::read_suite::read_suite;
use crate::suite::{Case, ScriptedCall, Suite};
use crate::suite_services::suites_in;

/// A request, its response, and what other services answer at once.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Which one it is, for people.
    pub name: String,
    /// The filter's configuration.
    pub configuration: Option<Value>,
    /// What the client sends.
    pub request: RequestHead,
    /// Its body.
    pub request_body: Option<Bytes>,
    /// What the upstream answers.
    pub response: ResponseHead,
    /// Its body.
    pub response_body: Option<Bytes>,
    /// What the services that the filter calls answer.
    pub calls: Vec<ScriptedCall>,
}

impl Sample {
    /// The first case of the suites in a project's folder that is to be served; without one, the fixed exchange with this
    /// configuration.
    ///
    /// # Errors
    /// A suite cannot be read.
    pub(crate) fn of_project(
        folder: &Path,
        configuration: Option<Value>,
    ) -> Result<Self, AuthorError> {
        for file in suites_in(&folder.join("tests")).unwrap_or_default() {
            if let Some(sample) = Sample::of_suite(&read_suite(&file)?)?.into_iter().next() {
                return Ok(sample);
            }
        }
        Ok(Sample::fixed(configuration))
    }

    /// The cases of a suite that are to be served.
    ///
    /// # Errors
    /// A case is no message.
    pub(crate) fn of_suite(suite: &Suite) -> Result<Vec<Self>, AuthorError> {
        let served = suite.cases.iter().map(|case| &case.value);
        served
            .filter(|case| case.expect.refused.is_none())
            .map(|case| Sample::of_case(case, suite))
            .collect()
    }

    fn of_case(case: &Case, suite: &Suite) -> Result<Self, AuthorError> {
        let failed = |what: String| AuthorError::Usage(format!("case `{}`: {what}", case.name));
        let no_head = |what: &str| failed(format!("`request.{what}` is none"));
        let request = RequestHead {
            method: case.request.method.parse().map_err(|_| no_head("method"))?,
            authority: case.request.host.parse().map_err(|_| no_head("host"))?,
            path: case.request.path.parse().map_err(|_| no_head("path"))?,
            headers: header_map(&case.request.headers).map_err(failed)?,
            ..RequestHead::default()
        };
        let status = StatusCode::from_u16(case.response.status)
            .map_err(|_| failed("`response.status` is none".to_owned()))?;
        let headers = header_map(&case.response.headers).map_err(failed)?;
        Ok(Sample {
            name: format!("the case `{}`", case.name),
            configuration: case.configuration.clone().or_else(|| suite.configuration.clone()),
            request,
            request_body: whole(&case.request.body),
            response: ResponseHead::new(status, headers),
            response_body: whole(&case.response.body),
            calls: case.calls.clone(),
        })
    }

    /// Eleven headers there, five back, a small body both ways.
    fn fixed(configuration: Option<Value>) -> Self {
        let request = RequestHead {
            method: http::Method::POST,
            authority: HeaderValue::from_static("shop.example.com"),
            path: http::uri::PathAndQuery::from_static("/api/v1/carts/42/items?currency=eur"),
            headers: headers(&REQUEST_HEADERS),
            ..RequestHead::default()
        };
        Sample {
            name: "an exchange of 11 headers and small bodies".to_owned(),
            configuration,
            request,
            request_body: Some(Bytes::from_static(br#"{"item":"a-17","count":2}"#)),
            response: ResponseHead::new(StatusCode::OK, headers(&RESPONSE_HEADERS)),
            response_body: Some(Bytes::from_static(br#"{"cart":42,"items":3,"total":"17.40"}"#)),
            calls: Vec::new(),
        }
    }
}

const REQUEST_HEADERS: [(&str, &str); 11] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, br"),
    ("accept-language", "en-GB,en;q=0.8"),
    ("content-type", "application/json"),
    ("content-length", "25"),
    ("cookie", "session=2f6c1d8a9b; theme=dark"),
    ("origin", "https://shop.example.com"),
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
];

const RESPONSE_HEADERS: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    ("content-length", "37"),
    ("cache-control", "no-store"),
    ("server", "shop"),
    ("date", "Tue, 24 Nov 2026 12:00:00 GMT"),
];

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(field).collect()
}

fn whole(body: &OneOrMore) -> Option<Bytes> {
    let text = body.texts().concat();
    (!text.is_empty()).then(|| Bytes::from(text))
}
