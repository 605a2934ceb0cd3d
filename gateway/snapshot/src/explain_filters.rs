//! The native filters that run on a request, and the replies that they are sure to give.

use http::StatusCode;
use portcullis_filters::{ALL_PARTS, Fault};
use portcullis_model::{Action, DestinationChange, Listener, RuleFilters};

use crate::{CompiledListener, CompiledRule, RequestToExplain};

/// What runs on every request of a listener, before the filters of its rule.
pub(crate) fn native_steps(listener: &Listener) -> impl Iterator<Item = String> {
    let steps = [
        ("authentication", listener.authentication.is_some()),
        ("authorization", listener.authorization.is_some()),
    ];
    steps.into_iter().filter(|(_, runs)| *runs).map(|(name, _)| name.to_owned())
}

/// What runs on a request that goes to a rule, in order; what acts on replies alone comes last.
pub(crate) fn native_filters(listener: &CompiledListener, rule: &CompiledRule) -> Vec<String> {
    let none = RuleFilters::default();
    let own = rule.rule.filters.as_deref().unwrap_or(&none);
    let of_listener = listener.settings.filters.as_deref().unwrap_or(&none);
    let rewrites = |change: &DestinationChange| {
        change.path_rewrite.is_some() || change.authority_rewrite.is_some()
    };
    let mut changes =
        rule.destinations.iter().filter_map(|destination| destination.settings.change.as_deref());
    let (redirects, replies, rewritten) = match &rule.rule.action {
        Action::Redirect(_) => (true, false, false),
        Action::DirectResponse(_) => (false, true, false),
        Action::Forward { path_rewrite, authority_rewrite, .. } => (
            changes.clone().any(|change| change.redirect.is_some()),
            false,
            path_rewrite.is_some() || authority_rewrite.is_some() || changes.any(rewrites),
        ),
    };
    let limits = match own.rate_limit {
        Some(_) => rule.bucket.is_some(),
        None => listener.bucket.is_some(),
    };
    let bodies = own.error_bodies.as_ref().or(of_listener.error_bodies.as_ref());
    let running = [
        ("rate_limit", limits),
        ("cors", own.cors.is_some()),
        ("fault", own.fault.is_some()),
        ("redirect", redirects),
        ("direct_response", replies),
        ("rewrite", rewritten),
        ("header_operations", changes_headers(rule)),
        ("timeout", rule.rule.timeout.is_some()),
        ("error_bodies", bodies.is_some_and(|bodies| !bodies.is_empty())),
    ];
    running.into_iter().filter(|(_, runs)| *runs).map(|(name, _)| name.to_owned()).collect()
}

/// The status by which a filter answers every such request: a preflight, or one that is always aborted.
pub(crate) fn answered_by_filter(
    rule: &CompiledRule,
    request: &RequestToExplain,
) -> Option<StatusCode> {
    let filters = rule.rule.filters.as_deref()?;
    let preflight =
        filters.cors.as_ref().and_then(|cors| cors.answer(&request.method, &request.headers));
    let aborted = |fault: &Fault| fault.abort(|| ALL_PARTS - 1).map(|aborted| aborted.reply.status);
    preflight.map(|reply| reply.status).or_else(|| filters.fault.as_ref().and_then(aborted))
}

fn changes_headers(rule: &CompiledRule) -> bool {
    !rule.rule.request_headers.is_empty()
        || !rule.rule.response_headers.is_empty()
        || rule.destinations.iter().any(|destination| {
            !destination.settings.request_headers.is_empty()
                || !destination.settings.response_headers.is_empty()
        })
}
