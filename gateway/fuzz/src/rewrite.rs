//! Rewriting paths and judging origins: lines of an expression, its substitution, a path, and an origin.

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN};
use http::uri::PathAndQuery;
use portcullis_filters::{
    CorsPolicy, MatchedPath, OriginMatch, PathRewrite, Redirect, RedirectPath, Requested,
    Substitution,
};
use portcullis_message::{Canonical, HeadRules, canonical_path};

/// What is rewritten has a canonical form or is refused, keeps its query, and makes a head that can be sent.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (pattern, template, path, origin) = (next(), next(), next(), next());
    judge(origin);
    let Ok(path) = PathAndQuery::try_from(path) else { return };
    let Some(path) = canonical(&path) else { return };
    let mut rewrites =
        vec![PathRewrite::Matched(template.into()), PathRewrite::Whole(template.into())];
    rewrites.extend(Substitution::parse(pattern, template).ok().map(PathRewrite::Pattern));
    let starts = [MatchedPath::Whole, MatchedPath::Prefix(path.path().len().min(pattern.len()))];
    for (rewrite, matched) in
        rewrites.iter().flat_map(|rewrite| starts.map(|matched| (rewrite, matched)))
    {
        let Some(rewritten) = rewrite.apply(&path, matched) else { continue };
        assert!(rewritten.path().starts_with('/') || rewritten.path() == "*", "{rewritten}");
        if !template.contains('?') {
            assert_eq!(rewritten.query(), path.query(), "{rewritten}");
        }
        redirect(rewrite, &path, matched);
    }
}

fn canonical(path: &PathAndQuery) -> Option<PathAndQuery> {
    match canonical_path(path, HeadRules::SAFEST).ok()? {
        Canonical::AsSent => Some(path.clone()),
        Canonical::Changed(changed) => Some(changed),
    }
}

fn redirect(rewrite: &PathRewrite, path: &PathAndQuery, matched: MatchedPath) {
    let path_of = RedirectPath::Prefix(rewrite.clone());
    let redirect = Redirect { path: path_of, ..Redirect::to_https() };
    let (scheme, authority, port) = ("http", "shop.example:8080", 80);
    let reply = redirect.reply(Requested { scheme, authority, port, path, matched });
    let location = reply.headers.get("location").map(HeaderValue::as_bytes);
    let rest = location.map(|to| to.strip_prefix(b"https://shop.example").unwrap_or(b"none"));
    assert!(rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(b"/")), "{location:?}");
}

/// A policy for one site allows no origin of another, and what it allows it names.
fn judge(origin: &str) {
    let Ok(value) = HeaderValue::from_str(origin) else { return };
    let subdomains = OriginMatch::Subdomains {
        scheme: "https://".into(),
        suffix: ".example.com".into(),
        port: "".into(),
    };
    let policy = CorsPolicy { allow_origins: vec![subdomains], ..CorsPolicy::default() };
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, value.clone());
    headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    let Some(reply) = policy.answer(&Method::OPTIONS, &headers) else { return };
    assert_eq!(reply.headers.get("access-control-allow-origin"), Some(&value));
    let uri: http::Uri = match origin.parse() {
        Ok(uri) => uri,
        Err(error) => panic!("{origin} is no URL: {error}"),
    };
    assert!(uri.host().is_some_and(|host| host.ends_with(".example.com")), "{origin}");
}
