//! What `explain` tells; the field names are those of `explain --output json`.

use portcullis_model::Origin;
use serde::Serialize;

use crate::ExplainedPlugin;

/// What becomes of a request, and why.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// `forward`, `redirect`, `direct_response`, `refused` or `not_found`.
    pub outcome: &'static str,
    /// Why it is refused: the rule's name as in the access log, and what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Why no rule is asked at all: `health_path`, a reserved path that the gateway itself answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<&'static str>,
    /// The status that the gateway itself gives; `None` where the upstream decides.
    pub status: Option<u16>,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The listener as `Gateway/ns/name/server`.
    pub listener: Option<String>,
    /// The host pattern of the routes that were considered.
    pub host: Option<String>,
    /// The rule that takes the request.
    pub route: Option<String>,
    /// Where that rule is written.
    pub source: Option<Source>,
    /// Every rule looked at, in order, up to [`MOST_CONSIDERED`].
    pub considered: Vec<ConsideredRule>,
    /// How many more were looked at.
    #[serde(skip_serializing_if = "is_zero")]
    pub considered_left_out: usize,
    /// The native filters that act on it.
    pub filters: Vec<String>,
    /// The authorization policies that it is held against, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ExplainedPolicy>,
    /// The plugins that run on it, in order.
    pub plugins: Vec<String>,
    /// The same with phase, priority and why each runs.
    pub plugin_chain: Vec<ExplainedPlugin>,
    /// What rule and destinations do to header fields, in order.
    pub header_changes: Vec<HeaderChange>,
    /// Where it may go.
    pub clusters: Vec<ExplainedCluster>,
    /// What the upstream gets, apart from what plugins change; of the first destination that gets any.
    pub upstream_request: Option<UpstreamRequest>,
}

/// So many rules are told of, the one that takes the request always among them.
pub const MOST_CONSIDERED: usize = 10_000;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl From<&Origin> for Source {
    fn from(origin: &Origin) -> Self {
        Source { file: origin.file.to_string(), line: origin.line }
    }
}

/// A rule that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct ConsideredRule {
    /// The rule.
    pub route: String,
    /// Whether it took the request.
    pub matched: bool,
    /// Why, or why not.
    pub reason: String,
    /// Where it is written.
    pub source: Source,
}

/// A change to one header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderChange {
    /// `request` or `response`.
    pub head: &'static str,
    /// The rule, or the cluster where only requests that go there are changed.
    pub by: String,
    /// `set`, `add` or `remove`.
    pub operation: &'static str,
    /// The field.
    pub name: String,
    /// Its value; `None` for `remove`.
    pub value: Option<String>,
}

/// A policy that was considered. The field names are those of `explain --output json`.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedPolicy {
    /// The object.
    pub policy: String,
    /// `CUSTOM`, `DENY`, `ALLOW` or `AUDIT`; actions are asked in this order.
    pub action: &'static str,
    /// Whether it is more than a dry run.
    pub enforced: bool,
    /// Whether it matches: `rule 0 matches`, `no rule matches`, or on what that depends.
    pub outcome: String,
}

/// A destination with its endpoints.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedCluster {
    /// The cluster's name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// What its share of the requests gets where none of them can be served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its endpoints; none where the cluster is missing.
    pub endpoints: Vec<ExplainedEndpoint>,
}

/// An endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedEndpoint {
    /// Its address.
    pub address: String,
    /// Whether it takes requests: `healthy`, `warming`, or why not. As far as manifests tell: `weight 0`, `draining`,
    /// `not ready`, `standby`; `dns` for a name, which is looked up when the gateway runs; in a running gateway also
    /// `ejected` and `unhealthy`.
    pub state: String,
    /// What is behind the state, where the word alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ExplainedEndpoint {
    /// Whether requests go to it where nothing better is there.
    pub fn serves(&self) -> bool {
        matches!(self.state.as_str(), "healthy" | "warming" | "draining" | "dns")
    }
}

/// The head that the upstream gets.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamRequest {
    /// The method.
    pub method: String,
    /// The authority.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// The other fields.
    pub headers: Vec<(String, String)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
