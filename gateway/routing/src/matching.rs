//! Whether conditions hold for a request. `find_route` and `consider` both ask here, so they cannot differ.

use portcullis_filters::MatchedPath;
use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, PathCase, PathMatch, QueryMatch, RequestMatch, StringMatch,
};

use crate::RouteQuery;
use crate::mismatch::Mismatch;

/// As Istio has it, a rule that names no path matches by the prefix `/`; so a rewrite replaces that alone.
pub(crate) const ANY_PATH: MatchedPath = MatchedPath::Prefix(1);

/// Holds one set of conditions against a request; the first that fails is the error. The port and the Gateways
/// were settled when the table was built.
pub(crate) fn match_request<'a>(
    conditions: &'a RequestMatch,
    query: &RouteQuery,
) -> Result<MatchedPath, Mismatch<'a>> {
    if conditions.never {
        return Err(Mismatch::Never);
    }
    if let Some(path) = &conditions.path
        && !match_path(path, conditions.path_case, query.path)
    {
        return Err(Mismatch::Path(path, conditions.path_case));
    }
    match_beside_path(conditions, query)?;
    Ok(matched_part(conditions))
}

/// What of a path conditions match that hold.
pub(crate) fn matched_part(conditions: &RequestMatch) -> MatchedPath {
    match &conditions.path {
        None => ANY_PATH,
        Some(PathMatch::Exact(_) | PathMatch::Pattern(_)) => MatchedPath::Whole,
        Some(PathMatch::Prefix(prefix) | PathMatch::Segments(prefix)) => {
            MatchedPath::Prefix(prefix.len())
        }
    }
}

/// Everything but the path.
pub(crate) fn match_beside_path<'a>(
    conditions: &'a RequestMatch,
    query: &RouteQuery,
) -> Result<(), Mismatch<'a>> {
    if let Some(scheme) = &conditions.scheme
        && !scheme.matches(query.scheme)
    {
        return Err(Mismatch::Scheme(scheme));
    }
    if let Some(method) = &conditions.method
        && !method.matches(query.method.as_str())
    {
        return Err(Mismatch::Method(method));
    }
    if let Some(authority) = &conditions.authority
        && !match_authority(authority, query.host)
    {
        return Err(Mismatch::Authority(authority));
    }
    match conditions.headers.iter().find(|header| !match_header(header, query)) {
        Some(header) if query.headers.contains_key(&header.name) => {
            return Err(Mismatch::Header(header));
        }
        Some(header) => return Err(Mismatch::NoHeader(header)),
        None => {}
    }
    if let Some(header) = conditions.without_headers.iter().find(|each| match_unwanted(each, query))
    {
        return Err(Mismatch::HasHeader(header));
    }
    if let Some(parameter) = conditions.query.iter().find(|each| !match_query(each, query)) {
        return Err(Mismatch::Query(parameter));
    }
    match conditions.claims.iter().find(|claim| !match_claim(claim, query)) {
        Some(claim) => Err(Mismatch::Claim(claim)),
        None => Ok(()),
    }
}

fn match_path(path: &PathMatch, case: PathCase, actual: &str) -> bool {
    let starts_with = |prefix: &str| match case {
        PathCase::Sensitive => actual.starts_with(prefix),
        PathCase::Ignored => actual
            .as_bytes()
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes())),
    };
    match path {
        PathMatch::Exact(wanted) => wanted.len() == actual.len() && starts_with(wanted),
        PathMatch::Prefix(prefix) => starts_with(prefix),
        PathMatch::Segments(prefix) => {
            let ends = matches!(actual.as_bytes().get(prefix.len()), None | Some(b'/'));
            ends && starts_with(prefix)
        }
        PathMatch::Pattern(pattern) => pattern.matches(actual),
    }
}

fn match_query(wanted: &QueryMatch, query: &RouteQuery) -> bool {
    match (query.parameter(&wanted.name), &wanted.value) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(value), Some(condition)) => condition.matches(value),
    }
}

fn match_claim(wanted: &ClaimMatch, query: &RouteQuery) -> bool {
    let holds = query.claims.is_some_and(|claims| {
        claims.fulfil(&wanted.path, |value| {
            wanted.value.as_ref().is_none_or(|condition| condition.matches(value))
        })
    });
    match wanted.sense {
        ClaimSense::Holds => holds,
        ClaimSense::Fails => !holds,
    }
}

/// Compares with the host in normal form: what the user wrote loses its port, its trailing dot and its
/// case. A prefix with a port (`shop.example.com:`) therefore asks for that very host.
///
/// Istio compares with the `Host` as sent, where a client that writes the default port or a capital letter
/// gets another route; here spelling cannot choose a route.
fn match_authority(wanted: &StringMatch, host: &str) -> bool {
    let is = |wanted: &str| wanted.strip_suffix('.').unwrap_or(wanted).eq_ignore_ascii_case(host);
    match wanted {
        StringMatch::Exact(text) => is(split_port(text).0),
        StringMatch::Pattern(pattern) => pattern.matches(host),
        StringMatch::Prefix(text) => match split_port(text) {
            (name, Some(_)) => is(name),
            (prefix, None) => host
                .as_bytes()
                .get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes())),
        },
    }
}

/// The colons within an IPv6 literal separate no port, also where a prefix leaves it open.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let name_end = if authority.starts_with('[') {
        authority.find(']').map_or(authority.len(), |end| end + 1)
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    match authority.split_at_checked(name_end) {
        Some((name, "")) => (name, None),
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    }
}

/// A header that is missing counts as an empty one, unless the condition is on presence alone, as Istio has it.
fn match_unwanted(header: &HeaderMatch, query: &RouteQuery) -> bool {
    let fits_nothing = || header.value.as_ref().is_some_and(|unwanted| unwanted.matches(""));
    match_header(header, query) || !query.headers.contains_key(&header.name) && fits_nothing()
}

/// One value that fulfils the condition is enough; the values are never joined, so `a` and `b` on two
/// lines are not `a,b`. What is no UTF-8 in a value is read as U+FFFD, so that `withoutHeaders` sees the rest of it.
fn match_header(header: &HeaderMatch, query: &RouteQuery) -> bool {
    let Some(wanted) = &header.value else {
        return query.headers.contains_key(&header.name);
    };
    query
        .headers
        .get_all(&header.name)
        .iter()
        .any(|value| wanted.matches(&String::from_utf8_lossy(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use portcullis_filters::Pattern;

    use super::*;

    fn exact(text: &str) -> StringMatch {
        StringMatch::Exact(text.into())
    }

    fn prefix(text: &str) -> StringMatch {
        StringMatch::Prefix(text.into())
    }

    fn holds(conditions: &RequestMatch, method: &Method, headers: &HeaderMap) -> bool {
        let query = RouteQuery {
            host: "shop.example.com",
            scheme: "http",
            method,
            path: "/foobar",
            query: None,
            headers,
            claims: None,
        };
        match_request(conditions, &query).is_ok()
    }

    #[test]
    fn a_path_prefix_is_raw_text() {
        let fits = |path: &PathMatch, actual| match_path(path, PathCase::Sensitive, actual);
        let prefix = |text: &str| PathMatch::Prefix(text.into());
        assert!(fits(&prefix("/foo"), "/foobar"));
        assert!(!fits(&prefix("/foo/"), "/foo"));
        assert!(!fits(&prefix("/"), "*"));
        assert!(fits(&PathMatch::Exact("/foo".into()), "/foo"));
        assert!(!fits(&PathMatch::Exact("/foo".into()), "/foo/"));
    }

    #[test]
    fn segments_are_whole() {
        let fits = |prefix: &str, actual| {
            match_path(&PathMatch::Segments(prefix.into()), PathCase::Sensitive, actual)
        };
        assert!(fits("/foo", "/foo") && fits("/foo", "/foo/") && fits("/foo", "/foo/bar"));
        assert!(!fits("/foo", "/foobar") && !fits("/foo", "/fo") && !fits("/foo", "/FOO"));
        assert!(fits("", "/") && fits("", "/foo") && !fits("", "*"));
    }

    #[test]
    fn the_case_of_a_path_may_not_matter() {
        let fits = |path: PathMatch, actual| match_path(&path, PathCase::Ignored, actual);
        assert!(fits(PathMatch::Exact("/Foo".into()), "/fOO"));
        assert!(!fits(PathMatch::Exact("/Foo".into()), "/fOOx"));
        assert!(fits(PathMatch::Prefix("/Foo".into()), "/fOOx"));
        assert!(fits(PathMatch::Segments("/Foo".into()), "/fOO/x"));
        assert!(!fits(PathMatch::Segments("/Foo".into()), "/fOOx"));
        assert!(
            !fits(PathMatch::Prefix("/\u{c4}".into()), "/\u{e4}"),
            "as in Envoy, of ASCII alone"
        );
    }

    #[test]
    fn without_a_path_the_prefix_is_the_slash() {
        let headers = HeaderMap::new();
        let query = RouteQuery {
            host: "a",
            scheme: "http",
            method: &Method::GET,
            path: "/foo",
            query: None,
            headers: &headers,
            claims: None,
        };
        let anything = RequestMatch::default();
        assert_eq!(match_request(&anything, &query), Ok(MatchedPath::Prefix(1)));
    }

    #[test]
    fn an_authority_is_compared_without_case_and_port() {
        assert!(match_authority(&exact("Shop.Example.com:8080"), "shop.example.com"));
        assert!(match_authority(&exact("shop.example.com."), "shop.example.com"));
        assert!(!match_authority(&exact("shop.example.co"), "shop.example.com"));
        assert!(match_authority(&exact("[2001:DB8::1]:80"), "[2001:db8::1]"));
        assert!(match_authority(&prefix("SHOP."), "shop.example.com"));
        assert!(match_authority(&prefix("shop.example.com:"), "shop.example.com"));
        assert!(!match_authority(&prefix("shop.example:"), "shop.example.com"));
        assert!(match_authority(&prefix("[2001:db8:"), "[2001:db8::1]"));
        assert!(!match_authority(&prefix("shop.example.com"), "shop"));
    }

    #[test]
    fn custom_methods_compare_by_text_and_case() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let conditions = RequestMatch { method: Some(exact("PURGE")), ..Default::default() };
        assert!(holds(&conditions, &purge, &HeaderMap::new()));
        assert!(!holds(&conditions, &Method::GET, &HeaderMap::new()));
        assert!(!holds(&RequestMatch::method(&Method::GET), &purge, &HeaderMap::new()));
        let lower = Method::from_bytes(b"get").unwrap();
        assert!(!holds(&RequestMatch::method(&Method::GET), &lower, &HeaderMap::new()));
    }

    #[test]
    fn each_header_value_counts_and_never_their_join() {
        let name = HeaderName::from_static("x-a");
        let wants = |value| RequestMatch {
            headers: vec![HeaderMatch { name: name.clone(), value }],
            ..Default::default()
        };
        let mut headers = HeaderMap::new();
        assert!(!holds(&wants(None), &Method::GET, &headers));
        headers.append(&name, HeaderValue::from_static("one"));
        headers.append(&name, HeaderValue::from_static("two"));
        headers.append(&name, HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(holds(&wants(None), &Method::GET, &headers));
        assert!(holds(&wants(Some(exact("two"))), &Method::GET, &headers));
        assert!(holds(&wants(Some(prefix("tw"))), &Method::GET, &headers));
        assert!(!holds(&wants(Some(exact("one,two"))), &Method::GET, &headers));
        assert!(!holds(&wants(Some(exact("one, two"))), &Method::GET, &headers));
    }

    #[test]
    fn an_unwanted_header_that_is_missing_counts_as_empty() {
        let name = HeaderName::from_static("x-a");
        let without = |value| RequestMatch {
            without_headers: vec![HeaderMatch { name: name.clone(), value }],
            ..Default::default()
        };
        let anything = StringMatch::Pattern(Pattern::parse(".*").unwrap());
        let mut headers = HeaderMap::new();
        assert!(holds(&without(None), &Method::GET, &headers));
        assert!(holds(&without(Some(exact("one"))), &Method::GET, &headers));
        assert!(!holds(&without(Some(exact(""))), &Method::GET, &headers));
        assert!(!holds(&without(Some(anything)), &Method::GET, &headers));
        headers.append(&name, HeaderValue::from_bytes(b"one\xff").unwrap());
        assert!(!holds(&without(None), &Method::GET, &headers));
        assert!(!holds(&without(Some(prefix("one"))), &Method::GET, &headers));
        assert!(holds(&without(Some(exact("one"))), &Method::GET, &headers));
    }

    #[test]
    fn the_first_query_parameter_of_a_name_counts_as_it_is_written() {
        let headers = HeaderMap::new();
        let fits = |query, value: Option<StringMatch>| {
            let wanted = QueryMatch { name: "a".into(), value };
            let query = RouteQuery {
                host: "shop",
                scheme: "http",
                method: &Method::GET,
                path: "/",
                query,
                headers: &headers,
                claims: None,
            };
            match_query(&wanted, &query)
        };
        assert!(fits(Some("b=2&a=1&a=2"), Some(exact("1"))));
        assert!(!fits(Some("b=2&a=1&a=2"), Some(exact("2"))));
        assert!(fits(Some("a"), None) && fits(Some("a&a=1"), Some(exact(""))));
        assert!(fits(Some("a=b=c"), Some(exact("b=c"))));
        assert!(!fits(Some("a=%31"), Some(exact("1"))) && !fits(Some("%61=1"), None));
        assert!(!fits(Some("aa=1&A=1"), None) && !fits(Some(""), None) && !fits(None, None));
    }

    #[test]
    fn an_unserved_condition_never_holds() {
        let conditions = RequestMatch { never: true, ..Default::default() };
        assert!(!holds(&conditions, &Method::GET, &HeaderMap::new()));
    }
}
