//! Why conditions do not hold for a request, said to a human.

use std::fmt;

use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, PathCase, PathMatch, QueryMatch, RequestMatch, StringMatch,
};

use crate::RouteQuery;

/// The condition that a request does not fulfil.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mismatch<'a> {
    Never,
    /// It is for another port.
    Port(u16),
    /// It is for other Gateways.
    Gateways(&'a RequestMatch),
    Path(&'a PathMatch, PathCase),
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
    /// Says it, with what the request had instead.
    pub(crate) fn sentence(self, query: &RouteQuery) -> String {
        match self {
            Mismatch::Never => "no request fulfils its conditions".to_owned(),
            Mismatch::Port(port) => format!("it is for the port {port} alone"),
            Mismatch::Gateways(conditions) => {
                format!("it is for the Gateways {} alone", conditions.gateways.join(", "))
            }
            Mismatch::Path(path, case) => path_sentence(path, case, query.path),
            Mismatch::Scheme(wanted) => format!("the scheme `{}` {}", query.scheme, Lacks(wanted)),
            Mismatch::Method(wanted) => format!("the method `{}` {}", query.method, Lacks(wanted)),
            Mismatch::Authority(wanted) => {
                format!("the authority `{}` {}", query.host, Lacks(wanted))
            }
            Mismatch::NoHeader(header) => format!("there is no header `{}`", header.name),
            Mismatch::Header(header) => header_sentence(header, query),
            Mismatch::HasHeader(header) => unwanted_header_sentence(header),
            Mismatch::Query(parameter) => query_sentence(parameter, query),
            Mismatch::Claim(claim) => claim_sentence(claim, query),
        }
    }
}

fn path_sentence(path: &PathMatch, case: PathCase, actual: &str) -> String {
    let at_all = match case {
        PathCase::Sensitive => "",
        PathCase::Ignored => " in any case",
    };
    match path {
        PathMatch::Exact(wanted) => format!("the path `{actual}` is not `{wanted}`{at_all}"),
        PathMatch::Prefix(prefix) => {
            format!("the path `{actual}` does not begin with `{prefix}`{at_all}")
        }
        PathMatch::Segments(prefix) => {
            format!("the path `{actual}` is not at or below `{prefix}/`{at_all}")
        }
        PathMatch::Pattern(pattern) => format!("the path `{actual}` does not match `{pattern}`"),
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

fn unwanted_header_sentence(header: &HeaderMatch) -> String {
    match &header.value {
        None => format!("there is a header `{}`", header.name),
        Some(unwanted) => {
            format!("the header `{}` {}, as it must not", header.name, Does(unwanted))
        }
    }
}

fn query_sentence(parameter: &QueryMatch, query: &RouteQuery) -> String {
    let name = &parameter.name;
    match (query.parameter(name), &parameter.value) {
        (Some(value), Some(wanted)) => {
            format!("the query parameter `{name}`, `{value}`, {}", Lacks(wanted))
        }
        _ => format!("there is no query parameter `{name}`"),
    }
}

fn claim_sentence(claim: &ClaimMatch, query: &RouteQuery) -> String {
    let name = claim.path.join(".");
    if query.claims.is_none() {
        return format!("there is no verified token, so no claim `{name}`");
    }
    match (claim.sense, &claim.value) {
        (ClaimSense::Holds, None) => format!("the verified token has no claim `{name}`"),
        (ClaimSense::Holds, Some(wanted)) => {
            format!("the claim `{name}` of the verified token {}", Lacks(wanted))
        }
        (ClaimSense::Fails, None) => format!("the verified token has a claim `{name}`"),
        (ClaimSense::Fails, Some(unwanted)) => {
            format!("the claim `{name}` of the verified token {}, as it must not", Does(unwanted))
        }
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

/// Writes that a text fulfils a condition.
struct Does<'a>(&'a StringMatch);

impl fmt::Display for Does<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StringMatch::Exact(unwanted) => write!(f, "is `{unwanted}`"),
            StringMatch::Prefix(prefix) => write!(f, "begins with `{prefix}`"),
            StringMatch::Pattern(pattern) => write!(f, "matches `{pattern}`"),
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

    fn said(mismatch: Mismatch, headers: &HeaderMap) -> String {
        mismatch.sentence(&RouteQuery {
            host: "shop",
            scheme: "http",
            method: &Method::GET,
            path: "/x",
            query: Some("a=1&b"),
            headers,
            claims: None,
        })
    }

    #[test]
    fn sentences_name_what_was_wanted_and_what_came() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("one"));
        let wanted = exact("two");
        assert_eq!(said(Mismatch::Method(&wanted), &headers), "the method `GET` is not `two`");
        assert_eq!(said(Mismatch::Scheme(&wanted), &headers), "the scheme `http` is not `two`");
        let header = HeaderMatch { name: HeaderName::from_static("x-a"), value: Some(wanted) };
        assert_eq!(
            said(Mismatch::Header(&header), &headers),
            "the header `x-a`, `one`, is not `two`"
        );
        assert_eq!(
            said(Mismatch::HasHeader(&header), &headers),
            "the header `x-a` is `two`, as it must not"
        );
        headers.append("x-a", HeaderValue::from_static("three"));
        assert_eq!(
            said(Mismatch::Header(&header), &headers),
            "no value of the header `x-a` fits: each is not `two`"
        );
    }

    #[test]
    fn a_parameter_is_missing_or_another() {
        let parameter = |name: &str| QueryMatch { name: name.into(), value: Some(exact("2")) };
        let headers = HeaderMap::new();
        assert_eq!(
            said(Mismatch::Query(&parameter("a")), &headers),
            "the query parameter `a`, `1`, is not `2`"
        );
        assert_eq!(
            said(Mismatch::Query(&parameter("c")), &headers),
            "there is no query parameter `c`"
        );
    }

    #[test]
    fn a_listener_that_is_not_meant_is_said() {
        let gateways = vec!["a/b".into(), "a/c".into()];
        let conditions = RequestMatch { gateways, ..RequestMatch::default() };
        let headers = HeaderMap::new();
        assert_eq!(said(Mismatch::Port(81), &headers), "it is for the port 81 alone");
        assert_eq!(
            said(Mismatch::Gateways(&conditions), &headers),
            "it is for the Gateways a/b, a/c alone"
        );
    }
}
