//! Whether a rule takes a request. `find_route` and `consider` both ask here, so they cannot differ.

use std::fmt;

use portcullis_filters::MatchedPath;
use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, PathCase, PathMatch, QueryMatch, RequestMatch, Rule,
    StringMatch,
};

use crate::RouteQuery;

/// As Istio has it, a rule that names no path matches by the prefix `/`; so a rewrite replaces that alone.
const ANY_PATH: MatchedPath = MatchedPath::Prefix(1);

/// What of the path a rule matched, `None` where none of its matches holds.
pub(crate) fn match_rule(rule: &Rule, query: &RouteQuery) -> Option<MatchedPath> {
    if rule.matches.is_empty() {
        return Some(ANY_PATH);
    }
    rule.matches.iter().find_map(|conditions| match_request(conditions, query).ok())
}

/// Holds one set of conditions against a request; the first that fails is the error.
pub(crate) fn match_request<'a>(
    conditions: &'a RequestMatch,
    query: &RouteQuery,
) -> Result<MatchedPath, Mismatch<'a>> {
    if conditions.never {
        return Err(Mismatch::Never);
    }
    let matched = match &conditions.path {
        None => ANY_PATH,
        Some(path) => {
            match_path(path, conditions.path_case, query.path).ok_or(Mismatch::Path(path))?
        }
    };
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
    if let Some(header) = conditions.without_headers.iter().find(|each| match_header(each, query)) {
        return Err(Mismatch::HasHeader(header));
    }
    if let Some(parameter) = conditions.query.iter().find(|each| !match_query(each, query)) {
        return Err(Mismatch::Query(parameter));
    }
    match conditions.claims.iter().find(|claim| !match_claim(claim, query)) {
        Some(claim) => Err(Mismatch::Claim(claim)),
        None => Ok(matched),
    }
}

fn match_path(path: &PathMatch, case: PathCase, actual: &str) -> Option<MatchedPath> {
    let starts_with = |prefix: &str| match case {
        PathCase::Sensitive => actual.starts_with(prefix),
        PathCase::Ignored => actual
            .as_bytes()
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes())),
    };
    match path {
        PathMatch::Exact(wanted) => {
            (starts_with(wanted) && wanted.len() == actual.len()).then_some(MatchedPath::Whole)
        }
        PathMatch::Prefix(prefix) => {
            starts_with(prefix).then_some(MatchedPath::Prefix(prefix.len()))
        }
        PathMatch::Segments(prefix) => {
            let ends = matches!(actual.as_bytes().get(prefix.len()), None | Some(b'/'));
            (starts_with(prefix) && ends).then_some(MatchedPath::Prefix(prefix.len()))
        }
        PathMatch::Pattern(pattern) => pattern.matches(actual).then_some(MatchedPath::Whole),
    }
}

/// The first parameter of that name counts; one without `=` has an empty value.
fn match_query(wanted: &QueryMatch, query: &RouteQuery) -> bool {
    let parameters = query.query.into_iter().flat_map(|text| text.split('&'));
    let mut named = parameters
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .filter(|(name, _)| **name == *wanted.name);
    match (named.next(), &wanted.value) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some((_, value)), Some(condition)) => condition.matches(value),
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

/// One value that fulfils the condition is enough; the values are never joined, so `a` and `b` on two
/// lines are not `a,b`.
fn match_header(header: &HeaderMatch, query: &RouteQuery) -> bool {
    let Some(wanted) = &header.value else {
        return query.headers.contains_key(&header.name);
    };
    query
        .headers
        .get_all(&header.name)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .any(|value| wanted.matches(value))
}

/// The condition that a request does not fulfil.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mismatch<'a> {
    Never,
    Path(&'a PathMatch),
    Scheme(&'a StringMatch),
    Method(&'a StringMatch),
    Authority(&'a StringMatch),
    Header(&'a HeaderMatch),
    NoHeader(&'a HeaderMatch),
    HasHeader(&'a HeaderMatch),
    Query(&'a QueryMatch),
    Claim(&'a ClaimMatch),
}

impl Mismatch<'_> {
    /// Says it to a human, with what the request had instead.
    pub(crate) fn sentence(self, query: &RouteQuery) -> String {
        match self {
            Mismatch::Never => "no request fulfils its conditions".to_owned(),
            Mismatch::Path(PathMatch::Exact(wanted)) => {
                format!("the path `{}` is not `{wanted}`", query.path)
            }
            Mismatch::Path(PathMatch::Prefix(prefix)) => {
                format!("the path `{}` does not begin with `{prefix}`", query.path)
            }
            Mismatch::Path(PathMatch::Segments(prefix)) => {
                format!("the path `{}` is not at or below `{prefix}/`", query.path)
            }
            Mismatch::Path(PathMatch::Pattern(pattern)) => {
                format!("the path `{}` does not match `{pattern}`", query.path)
            }
            Mismatch::Scheme(wanted) => {
                format!("the scheme `{}` {}", query.scheme, Lacks(wanted))
            }
            Mismatch::HasHeader(header) => {
                format!("the header `{}` is as it must not be", header.name)
            }
            Mismatch::Query(parameter) => {
                format!("the query parameter `{}` is missing or another", parameter.name)
            }
            Mismatch::Claim(claim) => {
                format!("the claim `{}` does not fit the verified token", claim.path.join("."))
            }
            Mismatch::Method(wanted) => {
                format!("the method `{}` {}", query.method, Lacks(wanted))
            }
            Mismatch::Authority(wanted) => {
                format!("the authority `{}` {}", query.host, Lacks(wanted))
            }
            Mismatch::NoHeader(header) => format!("there is no header `{}`", header.name),
            Mismatch::Header(header) => header_sentence(header, query),
        }
    }
}

fn header_sentence(header: &HeaderMatch, query: &RouteQuery) -> String {
    let Some(wanted) = &header.value else {
        return format!("there is no header `{}`", header.name);
    };
    let mut values = query.headers.get_all(&header.name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("the header `{}`, `{value}`, {}", header.name, Lacks(wanted))
        }
        _ => format!("no value of the header `{}` fits: each {}", header.name, Lacks(wanted)),
    }
}

/// Writes that a text does not fulfil a condition.
struct Lacks<'a>(&'a StringMatch);

impl fmt::Display for Lacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StringMatch::Exact(wanted) => write!(f, "is not `{wanted}`"),
            StringMatch::Prefix(prefix) => write!(f, "does not begin with `{prefix}`"),
            StringMatch::Pattern(pattern) => write!(f, "does not match `{pattern}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

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
        let prefix = |text: &str| PathMatch::Prefix(text.into());
        assert_eq!(
            match_path(&prefix("/foo"), PathCase::Sensitive, "/foobar"),
            Some(MatchedPath::Prefix(4))
        );
        assert_eq!(match_path(&prefix("/foo/"), PathCase::Sensitive, "/foo"), None);
        assert_eq!(match_path(&prefix("/"), PathCase::Sensitive, "*"), None);
        assert_eq!(
            match_path(&PathMatch::Exact("/foo".into()), PathCase::Sensitive, "/foo"),
            Some(MatchedPath::Whole)
        );
        assert_eq!(
            match_path(&PathMatch::Exact("/foo".into()), PathCase::Sensitive, "/foo/"),
            None
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
    fn an_unserved_condition_never_holds() {
        let conditions = RequestMatch { never: true, ..Default::default() };
        assert!(!holds(&conditions, &Method::GET, &HeaderMap::new()));
    }

    #[test]
    fn sentences_name_what_was_wanted_and_what_came() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("one"));
        let query = RouteQuery {
            host: "shop",
            scheme: "http",
            method: &Method::GET,
            path: "/x",
            query: None,
            headers: &headers,
            claims: None,
        };
        let wanted = exact("two");
        assert_eq!(Mismatch::Method(&wanted).sentence(&query), "the method `GET` is not `two`");
        let header = HeaderMatch { name: HeaderName::from_static("x-a"), value: Some(wanted) };
        assert_eq!(
            Mismatch::Header(&header).sentence(&query),
            "the header `x-a`, `one`, is not `two`"
        );
        headers.append("x-a", HeaderValue::from_static("three"));
        let query = RouteQuery {
            host: "shop",
            scheme: "http",
            method: &Method::GET,
            path: "/x",
            query: None,
            headers: &headers,
            claims: None,
        };
        assert_eq!(
            Mismatch::Header(&header).sentence(&query),
            "no value of the header `x-a` fits: each is not `two`"
        );
    }
}
