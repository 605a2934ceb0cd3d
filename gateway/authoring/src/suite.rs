//! A suite: requests that go through a filter, what the world around it says, and what has to come out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::none_or::NoneOr;
use crate::one_or_more::OneOrMore;

/// Headers by name; what is expected of a header may be that it is not there.
pub(crate) type Headers<V> = BTreeMap<String, V>;

/// What a verified token says of who sent a request, by claim.
pub(crate) type Claims = serde_json::Map<String, serde_json::Value>;

/// A file of cases for one filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suite {
    /// The filter's configuration where a case has none of its own: a struct, or a string as it is.
    #[serde(default)]
    pub configuration: Option<serde_json::Value>,
    /// The cases, each on a filter that has just been started, with their places in the file.
    pub cases: Vec<Spanned<Case>>,
}

/// One request, from the client to the upstream and back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows; it names the case in reports.
    pub name: String,
    /// The filter's configuration, in the place of the suite's.
    #[serde(default)]
    pub configuration: Option<serde_json::Value>,
    /// What the client sends; a case that expects the configuration to be refused needs none.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers, if it is asked.
    #[serde(default)]
    pub response: Response,
    /// How other services answer the filter, by cluster; the first that fits a call answers it.
    #[serde(default)]
    pub calls: Vec<ScriptedCall>,
    /// What has to come out.
    pub expect: Expectations,
}

/// What a client sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Request {
    /// The method.
    pub method: String,
    /// The host that is asked for.
    pub host: String,
    /// The path with its query.
    pub path: String,
    /// Further headers.
    pub headers: Headers<OneOrMore>,
    /// What the token says that the request brings; the host verifies it before the filter runs, and takes it away.
    pub claims: Option<Claims>,
    /// The body; a list is sent in pieces.
    pub body: OneOrMore,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            method: "GET".to_owned(),
            host: "example.test".to_owned(),
            path: "/".to_owned(),
            headers: Headers::new(),
            claims: None,
            body: OneOrMore::default(),
        }
    }
}

/// What an upstream or another service answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Response {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: Headers<OneOrMore>,
    /// The body; a list is sent in pieces.
    pub body: OneOrMore,
    /// How long it takes, as in `20ms`.
    pub after: Option<String>,
}

impl Default for Response {
    fn default() -> Self {
        Response { status: 200, headers: Headers::new(), body: OneOrMore::default(), after: None }
    }
}

/// How another service answers a call of the filter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedCall {
    /// The cluster that the filter names.
    pub cluster: String,
    /// What the call has to look like; a case fails where one does not.
    #[serde(default)]
    pub expect: ExpectedMessage,
    /// The answer, 200 where nothing is said; `none`: the service is silent until the filter gives up.
    #[serde(default)]
    pub answer: Option<NoneOr<Response>>,
}

/// What has to come out; what is not named is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expectations {
    /// The configuration is refused, with this in the reason.
    pub refused: Option<String>,
    /// What the upstream got; `none`: it was not asked.
    pub request: Option<NoneOr<ExpectedMessage>>,
    /// What the client got.
    pub response: Option<ExpectedMessage>,
    /// What the filter's log lines have to contain, each in some line.
    pub log: Vec<String>,
    /// Metrics of the filter, after the case.
    pub metrics: BTreeMap<String, u64>,
    /// How many calls the filter made.
    pub calls: Option<usize>,
}

/// What a message has to look like; what is not named is not looked at.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpectedMessage {
    /// The method, of a request.
    pub method: Option<String>,
    /// The path with its query, of a request.
    pub path: Option<String>,
    /// The status, of a response.
    pub status: Option<u16>,
    /// Headers with all their values; `null`: it is not there.
    pub headers: Headers<Option<OneOrMore>>,
    /// The whole body.
    pub body: Option<String>,
}
