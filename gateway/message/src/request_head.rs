//! The head of a request, validated and in one form before anything is decided by it.

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::authority::{AuthorityError, check_authority, same_authority};
use crate::canonical_path::{Canonical, PathError, canonical_path_for};
use crate::field_rules::{FieldError, check_fields};
use crate::head_rules::HeadRules;

/// Whom and what a request asks for.
#[derive(Debug)]
pub struct CanonicalHead {
    /// As the client wrote it; empty where there is none.
    pub authority: HeaderValue,
    /// In canonical form; as the client sent it where the head is refused.
    pub path: PathAndQuery,
    /// As the client sent it, where that differs.
    pub sent_path: Option<PathAndQuery>,
    /// Why the request has to be refused.
    pub refusal: Option<HeadError>,
}

/// Why a request's head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Its path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Its host.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its other fields.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The URL's scheme is neither http nor https.
    #[error("the scheme is neither http nor https")]
    Scheme,
}

/// Validates a request's head, the same for every version of HTTP, and takes `Host` out of its fields.
///
/// The authority is that of the target (HTTP/2, absolute-form) before that of `Host`, which it replaces (RFC 9112
/// section 3.2.2).
///
/// `rules_for` is told the authority's bytes, not yet checked, and says by which rules the rest is read.
pub fn canonical_head(
    method: &Method,
    uri: Uri,
    version: Version,
    headers: &mut HeaderMap,
    rules_for: impl FnOnce(&[u8]) -> HeadRules,
) -> CanonicalHead {
    let fields = headers.len();
    let host = headers.remove(HOST);
    let hosts = fields - headers.len();
    let target = uri.into_parts();
    let asked = target.authority.as_ref().map(|authority| authority.as_str().as_bytes());
    let asked = asked.or(host.as_ref().map(HeaderValue::as_bytes));
    let rules = rules_for(asked.unwrap_or_default());
    let checked = check_fields(headers, version, rules.underscores)
        .map_err(HeadError::from)
        .and_then(|()| check_scheme(target.scheme.as_ref()))
        .and_then(|()| check_hosts(host.as_ref(), hosts, version))
        .and_then(|()| {
            check_target(target.authority.as_ref(), target.scheme.as_ref(), host.as_ref(), version)
        })
        .and_then(|()| check_path(method, target.path_and_query.as_ref(), rules));
    let in_target =
        target.authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let sent = target.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let (path, sent_path, refusal) = match checked {
        Ok(Canonical::AsSent) => (sent, None, None),
        Ok(Canonical::Changed(path)) => (path, Some(sent), None),
        Err(error) => (sent, None, Some(error)),
    };
    let authority = in_target.or(host).unwrap_or_else(|| HeaderValue::from_static(""));
    CanonicalHead { authority, path, sent_path, refusal }
}

fn check_scheme(scheme: Option<&Scheme>) -> Result<(), HeadError> {
    match scheme {
        None => Ok(()),
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(()),
        Some(_) => Err(HeadError::Scheme),
    }
}

/// `Host` stands once in HTTP/1.1, also beside an absolute URL (RFC 9112 section 3.2). HTTP/1.0 needs none;
/// such health checks are answered by a `*` host.
fn check_hosts(
    host: Option<&HeaderValue>,
    hosts: usize,
    version: Version,
) -> Result<(), HeadError> {
    let needed = version == Version::HTTP_11;
    match host {
        _ if hosts > 1 => Err(AuthorityError::Repeated.into()),
        None if needed => Err(AuthorityError::Missing.into()),
        None => Ok(()),
        Some(host) if host.is_empty() && version == Version::HTTP_10 => Ok(()),
        Some(host) => Ok(check_authority(host.as_bytes())?),
    }
}

/// The authority that stands in the target, where one does.
fn check_target(
    authority: Option<&Authority>,
    scheme: Option<&Scheme>,
    host: Option<&HeaderValue>,
    version: Version,
) -> Result<(), HeadError> {
    let is_multiplexed = version == Version::HTTP_2;
    let Some(authority) = authority.map(Authority::as_str) else {
        let missing = is_multiplexed && host.is_none();
        return if missing { Err(AuthorityError::Missing.into()) } else { Ok(()) };
    };
    check_authority(authority.as_bytes())?;
    // RFC 9113 section 8.3.1; in HTTP/1 the target replaces `Host` (RFC 9112 section 3.2.2).
    let Some(host) = host.filter(|_| is_multiplexed) else { return Ok(()) };
    let default_port = if scheme == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let same = host.to_str().is_ok_and(|host| same_authority(host, authority, default_port));
    if same { Ok(()) } else { Err(AuthorityError::Disagreement.into()) }
}

fn check_path(
    method: &Method,
    path: Option<&PathAndQuery>,
    rules: HeadRules,
) -> Result<Canonical, HeadError> {
    match path {
        Some(path) => Ok(canonical_path_for(method, path, rules)?),
        // Its target is an authority alone.
        None if *method == Method::CONNECT => Ok(Canonical::AsSent),
        None => Err(PathError::NotAbsolute.into()),
    }
}

impl HeadError {
    /// The rule's name, for the access log.
    pub fn code(self) -> &'static str {
        match self {
            HeadError::Path(error) => error.code(),
            HeadError::Authority(error) => error.code(),
            HeadError::Field(error) => error.code(),
            HeadError::Scheme => "scheme_refused",
        }
    }

    /// The status that answers it.
    pub fn status(self) -> StatusCode {
        match self {
            HeadError::Field(error) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn head(version: Version, uri: &str, fields: &[(&str, &str)]) -> CanonicalHead {
        head_of(Method::GET, version, uri, fields)
    }

    fn head_of(
        method: Method,
        version: Version,
        uri: &str,
        fields: &[(&str, &str)],
    ) -> CanonicalHead {
        let mut headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let rules = |_: &[u8]| HeadRules::default();
        let head = canonical_head(&method, uri.parse().unwrap(), version, &mut headers, rules);
        assert!(!headers.contains_key(HOST));
        head
    }

    #[test]
    fn route_and_log_get_each_its_path() {
        let head = head(Version::HTTP_11, "/a/../b%7e?c", &[("host", "Shop.example")]);
        assert_eq!(
            (head.authority.to_str().unwrap(), head.path.as_str()),
            ("Shop.example", "/b~?c")
        );
        assert_eq!(head.sent_path.unwrap(), "/a/../b%7e?c");
        assert_eq!(head.refusal, None);
    }

    #[test]
    fn a_refused_head_keeps_what_was_sent() {
        let head = head(Version::HTTP_11, "/a%2fb", &[("host", "shop.example")]);
        assert_eq!((head.path.as_str(), head.sent_path), ("/a%2fb", None));
        assert_eq!(head.refusal.map(HeadError::code), Some("path_escape_refused"));
    }

    #[test]
    fn the_host_of_each_version() {
        use AuthorityError::{Disagreement, Invalid, Missing, Repeated, Userinfo};
        let (http10, http11, http2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, uri, hosts, expected) in [
            (http10, "/", &[][..], Ok("")),
            (http10, "/", &[""], Ok("")),
            (http10, "/", &["a", "a"], Err(Repeated)),
            (http10, "/", &["a,b"], Err(Invalid)),
            (http11, "/", &[], Err(Missing)),
            (http11, "/", &[""], Err(Missing)),
            (http11, "/", &["a", "a"], Err(Repeated)),
            (http11, "/", &["u@a"], Err(Userinfo)),
            (http11, "/", &["a:80"], Ok("a:80")),
            (http11, "http://a/", &["b"], Ok("a")),
            (http11, "http://a/", &[], Err(Missing)),
            (http11, "http://a/", &["a", "a"], Err(Repeated)),
            (http11, "http://a/", &["a b"], Err(Invalid)),
            (http11, "http://u@a/", &["a"], Err(Userinfo)),
            (http2, "/", &[], Err(Missing)),
            (http2, "/", &["a"], Ok("a")),
            (http2, "http://a/", &[], Ok("a")),
            (http2, "http://a/", &["A:80"], Ok("a")),
            (http2, "https://a/", &["a:443"], Ok("a")),
            (http2, "https://a/", &["a:80"], Err(Disagreement)),
            (http2, "http://a/", &["b"], Err(Disagreement)),
            (http2, "http://a/", &["a", "a"], Err(Repeated)),
            (http2, "http://u@a/", &[], Err(Userinfo)),
            (http2, "http://a,b/", &[], Err(Invalid)),
        ] {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let head = head(version, uri, &fields);
            match expected {
                Ok(authority) => {
                    assert_eq!((head.refusal, head.authority.to_str().unwrap()), (None, authority));
                }
                Err(error) => {
                    assert_eq!(head.refusal, Some(error.into()), "{version:?} {uri} {hosts:?}")
                }
            }
        }
    }

    #[test]
    fn the_target_of_each_form() {
        let host = [("host", "a")];
        for (method, uri, expected) in [
            (Method::GET, "http://a", Ok("/")),
            (Method::GET, "http://a?b", Ok("/?b")),
            (Method::GET, "http://a/b//c", Ok("/b/c")),
            (Method::OPTIONS, "*", Ok("*")),
            (Method::GET, "*", Err("path_not_absolute")),
            (Method::GET, "a:80", Err("path_not_absolute")),
            (Method::CONNECT, "a:80", Ok("/")),
            (Method::GET, "javascript://a/", Err("scheme_refused")),
            (Method::GET, "HTTPS://a/", Ok("/")),
        ] {
            let head = head_of(method, Version::HTTP_11, uri, &host);
            match expected {
                Ok(path) => assert_eq!((head.refusal, head.path.as_str()), (None, path), "{uri}"),
                Err(code) => assert_eq!(head.refusal.map(HeadError::code), Some(code), "{uri}"),
            }
        }
    }

    #[test]
    fn the_rules_are_those_of_the_authority() {
        for (uri, host, expected) in [
            ("/a//b", "lax", (None, "/a//b")),
            ("/a//b", "strict", (Some("header_underscore_refused"), "/a//b")),
            ("http://lax/a//b", "strict", (None, "/a//b")),
            ("http://strict/a//b", "lax", (Some("header_underscore_refused"), "/a//b")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.insert("x_a", "b".parse().unwrap());
            let rules = |authority: &[u8]| match authority {
                b"lax" => HeadRules::ISTIO,
                _ => HeadRules::default(),
            };
            let uri = uri.parse().unwrap();
            let head = canonical_head(&Method::GET, uri, Version::HTTP_11, &mut headers, rules);
            assert_eq!((head.refusal.map(HeadError::code), head.path.as_str()), expected);
        }
    }

    #[test]
    fn fields_are_checked_too() {
        let head = head(Version::HTTP_11, "/", &[("host", "a"), ("expect", "tea")]);
        assert_eq!(head.refusal.map(HeadError::status), Some(StatusCode::EXPECTATION_FAILED));
    }
}
