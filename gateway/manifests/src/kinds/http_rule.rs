//! One entry of a VirtualService's `http`, as it is written: what is not is `None`, so that a delegate's rule can
//! take it from the rule that delegates.

use std::sync::Arc;
use std::time::Duration;

use portcullis_filters::{CorsPolicy, Fault};
use portcullis_model::{Origin, RetryPolicy};

use super::cors_policy::read_cors;
use super::fault_injection::read_fault;
use super::header_operations::{Headers, read_headers};
use super::mirrors::{RuleMirror, read_mirrors};
use super::request_match::{WrittenMatch, read_matches};
use super::retries::read_retries;
use super::rewrite::{Rewrite, read_rewrite};
use super::route_action::{RouteAction, read_action};
use crate::reader::{Fields, Schema};
use crate::scalars::duration;

/// One entry of `http`.
#[derive(Clone, Debug)]
pub(crate) struct HttpRule {
    pub(crate) origin: Origin,
    /// Which one of `spec.http` it is.
    pub(crate) index: usize,
    pub(crate) name: Option<Box<str>>,
    pub(crate) matches: Vec<WrittenMatch>,
    pub(crate) action: RouteAction,
    pub(crate) rewrite: Option<Box<Rewrite>>,
    pub(crate) headers: Option<Box<Headers>>,
    /// Zero is off.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<Arc<RetryPolicy>>,
    pub(crate) mirrors: Option<Vec<RuleMirror>>,
    pub(crate) fault: Option<Box<Fault>>,
    pub(crate) cors: Option<Box<CorsPolicy>>,
}

/// How many matches these rules have; one without any counts as one.
pub(crate) fn match_count(rules: &[HttpRule]) -> usize {
    rules.iter().map(|rule| rule.matches.len().max(1)).sum()
}

pub(super) static RULE: Schema = Schema {
    what: "an HTTP rule",
    served: &[
        "name",
        "match",
        "route",
        "redirect",
        "directResponse",
        "delegate",
        "rewrite",
        "timeout",
        "retries",
        "fault",
        "mirror",
        "mirrors",
        "mirrorPercent",
        "mirror_percent",
        "mirrorPercentage",
        "corsPolicy",
        "headers",
    ],
    not_yet: &[],
    skipped: &[],
};

impl HttpRule {
    /// Whether it takes every request, so that what follows in the same object is never reached.
    pub(super) fn is_catch_all(&self) -> bool {
        let all = |each: &WrittenMatch| each.conditions.is_catch_all() && each.source.is_empty();
        let delegates = matches!(self.action, RouteAction::Delegate(_));
        !delegates && (self.matches.is_empty() || self.matches.iter().any(all))
    }
}

/// Reads a rule. `own` are the Gateways of its VirtualService, as `ns/name`, and its namespace.
pub(super) fn read_rule(
    fields: &Fields<'_>,
    index: usize,
    own: (&[Arc<str>], &Arc<str>),
) -> Option<HttpRule> {
    let name = fields.field("name").and_then(|field| field.text());
    let matches = fields.field("match").map(|field| read_matches(&field, own)).unwrap_or_default();
    let headers = fields.field("headers").map(|field| read_headers(&field));
    let timeout = fields.field("timeout").and_then(|field| duration(&field));
    let retries = fields.field("retries").and_then(|field| read_retries(&field, &matches));
    let mirrors = read_mirrors(fields);
    let fault = fields.field("fault").and_then(|field| read_fault(&field));
    let cors = fields.field("corsPolicy").and_then(|field| read_cors(&field));
    let rewrite = fields.field("rewrite").and_then(|field| read_rewrite(&field, headers.as_ref()));
    for answer in ["redirect", "directResponse"] {
        fields.exclusive(&["rewrite", answer]);
        fields.exclusive(&["fault", answer]);
    }
    let action = read_action(fields, own.1)?;
    Some(HttpRule {
        origin: fields.cursor().origin(),
        index,
        name: name.filter(|name| !name.is_empty()).map(Into::into),
        matches,
        action,
        rewrite: rewrite.map(Box::new),
        headers: headers.map(Box::new),
        timeout,
        retries: retries.map(Arc::new),
        mirrors,
        fault: fault.map(Box::new),
        cors: cors.map(Box::new),
    })
}
