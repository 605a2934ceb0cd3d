//! Whether the conditions of a delegate's match are within those of the rule that delegates, and both together
//! (Istio's `mergeHTTPMatchRequests`).
//!
//! Where Istio lets a delegate's condition on a header come in the place of the other, both hold here: what comes out
//! is never wider than the rule that delegates.

use portcullis_model::{HeaderMatch, PathMatch, QueryMatch, RequestMatch, StringMatch};

use crate::kinds::WrittenMatch;

/// The matches of a delegate's rule within those of the rule that delegates. The error is the delegate's match that
/// is within none of them.
pub(crate) fn narrow_all(
    outer: &[WrittenMatch],
    inner: &[WrittenMatch],
) -> Result<Vec<WrittenMatch>, usize> {
    if outer.is_empty() {
        return Ok(inner.to_vec());
    }
    if inner.is_empty() {
        let inherited = |each: &WrittenMatch| WrittenMatch { index: None, ..each.clone() };
        return Ok(outer.iter().map(inherited).collect());
    }
    let mut all = Vec::with_capacity(inner.len());
    for (number, leaf) in inner.iter().enumerate() {
        let before = all.len();
        all.extend(outer.iter().filter_map(|root| narrow(root, leaf)));
        if all.len() == before {
            return Err(number);
        }
    }
    Ok(all)
}

fn narrow(root: &WrittenMatch, leaf: &WrittenMatch) -> Option<WrittenMatch> {
    let conditions = narrow_conditions(&root.conditions, &leaf.conditions)?;
    let source = root.source.and(&leaf.source)?;
    Some(WrittenMatch { conditions, source, ..leaf.clone() })
}

fn narrow_conditions(root: &RequestMatch, leaf: &RequestMatch) -> Option<RequestMatch> {
    let (path, path_case) = match (&root.path, &leaf.path) {
        (Some(outer), Some(inner)) => {
            let fits = root.path_case == leaf.path_case && is_path_within(outer, inner);
            fits.then(|| (leaf.path.clone(), leaf.path_case))?
        }
        (_, None) => (root.path.clone(), root.path_case),
        (None, _) => (leaf.path.clone(), leaf.path_case),
    };
    let headers_fit = leaf.headers.iter().all(|inner| {
        let mut same = root.headers.iter().filter(|outer| outer.name == inner.name);
        same.all(|outer: &HeaderMatch| fits(outer.value.as_ref(), inner.value.as_ref()))
    });
    let query_fits = leaf.query.iter().all(|inner| {
        let mut same = root.query.iter().filter(|outer| outer.name == inner.name);
        same.all(|outer: &QueryMatch| fits(outer.value.as_ref(), inner.value.as_ref()))
    });
    if !headers_fit || !query_fits {
        return None;
    }
    Some(RequestMatch {
        origin: leaf.origin.clone(),
        path,
        path_case,
        scheme: narrow_text(&root.scheme, &leaf.scheme)?,
        method: narrow_text(&root.method, &leaf.method)?,
        authority: narrow_text(&root.authority, &leaf.authority)?,
        headers: joined(&root.headers, &leaf.headers),
        without_headers: joined(&root.without_headers, &leaf.without_headers),
        query: joined(&root.query, &leaf.query),
        claims: joined(&root.claims, &leaf.claims),
        port: narrow_port(root.port, leaf.port)?,
        gateways: narrow_gateways(root, leaf)?,
        never: root.never || leaf.never,
    })
}

/// Both conditions hold wherever the inner one does; a condition on presence alone is joined as it is.
fn fits(outer: Option<&StringMatch>, inner: Option<&StringMatch>) -> bool {
    match (outer, inner) {
        (Some(outer), Some(inner)) => is_text_within(outer, inner),
        _ => true,
    }
}

/// The outer `None` is for an inner condition that is not within the outer one.
fn narrow_text(
    outer: &Option<StringMatch>,
    inner: &Option<StringMatch>,
) -> Option<Option<StringMatch>> {
    fits(outer.as_ref(), inner.as_ref()).then(|| inner.clone().or_else(|| outer.clone()))
}

fn narrow_port(outer: Option<u16>, inner: Option<u16>) -> Option<Option<u16>> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => (outer == inner).then_some(Some(inner)),
        _ => Some(inner.or(outer)),
    }
}

fn narrow_gateways(root: &RequestMatch, leaf: &RequestMatch) -> Option<Vec<std::sync::Arc<str>>> {
    if leaf.gateways.is_empty() || root.gateways.is_empty() {
        return Some(joined(&root.gateways, &leaf.gateways));
    }
    let mut both = leaf.gateways.clone();
    both.retain(|name| root.gateways.contains(name));
    (!both.is_empty()).then_some(both)
}

fn joined<T: Clone + PartialEq>(outer: &[T], inner: &[T]) -> Vec<T> {
    let mut all = outer.to_vec();
    all.extend(inner.iter().filter(|each| !outer.contains(each)).cloned());
    all
}

/// Whether every text that fulfils `inner` fulfils `outer`, as far as that can be told.
pub(crate) fn is_text_within(outer: &StringMatch, inner: &StringMatch) -> bool {
    match (outer, inner) {
        (_, StringMatch::Exact(text)) => outer.matches(text),
        (StringMatch::Prefix(outer), StringMatch::Prefix(inner)) => inner.starts_with(&**outer),
        (StringMatch::Pattern(outer), StringMatch::Pattern(inner)) => outer == inner,
        (StringMatch::Pattern(outer), StringMatch::Prefix(_)) => outer.as_str() == ".*",
        (StringMatch::Prefix(outer), StringMatch::Pattern(_)) => outer.is_empty(),
        (StringMatch::Exact(_), _) => false,
    }
}

/// The same for paths, which all begin with a slash. Letters are compared as they are.
pub(crate) fn is_path_within(outer: &PathMatch, inner: &PathMatch) -> bool {
    let is_segment = |prefix: &str, text: &str| {
        let rest = text.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match (outer, inner) {
        (PathMatch::Exact(outer), PathMatch::Exact(inner)) => outer == inner,
        (PathMatch::Prefix(outer), PathMatch::Exact(inner) | PathMatch::Prefix(inner)) => {
            inner.starts_with(&**outer)
        }
        // `/a` as segments is within the raw prefix `/a`, but not within `/a/`.
        (PathMatch::Prefix(outer), PathMatch::Segments(inner)) => {
            inner.starts_with(&**outer) || **outer == *"/"
        }
        (PathMatch::Segments(outer), PathMatch::Exact(inner) | PathMatch::Segments(inner)) => {
            is_segment(outer, inner)
        }
        (PathMatch::Segments(outer), PathMatch::Prefix(inner)) => {
            inner.strip_prefix(&**outer).is_some_and(|rest| rest.starts_with('/'))
        }
        (PathMatch::Pattern(outer), PathMatch::Exact(inner)) => outer.matches(inner),
        (PathMatch::Pattern(outer), PathMatch::Pattern(inner)) => outer == inner,
        (PathMatch::Pattern(outer), _) => [".*", "/.*"].contains(&outer.as_str()),
        (PathMatch::Prefix(outer), PathMatch::Pattern(_)) => **outer == *"/",
        (PathMatch::Segments(outer), PathMatch::Pattern(_)) => outer.is_empty(),
        (PathMatch::Exact(_), _) => false,
    }
}
