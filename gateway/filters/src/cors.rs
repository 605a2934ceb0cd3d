//! Cross-origin requests (Istio's `CorsPolicy`, Gateway API's `HTTPCORSFilter`, the Fetch standard).

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};
use portcullis_message::Reply;

use crate::Pattern;

/// Which scripts of other origins may make requests, and what they may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsPolicy {
    /// `allowOrigins`; one of them has to fit.
    pub allow_origins: Vec<OriginMatch>,
    /// `allowMethods`, joined as the header wants it; `None` leaves the header out.
    pub allow_methods: Option<Box<str>>,
    /// `allowHeaders`, joined.
    pub allow_headers: Option<Box<str>>,
    /// `exposeHeaders`, joined.
    pub expose_headers: Option<Box<str>>,
    /// `maxAge`
    pub max_age: Option<Duration>,
    /// `allowCredentials`
    pub allow_credentials: Option<bool>,
    /// `unmatchedPreflights`
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What becomes of a preflight request of an origin that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmatchedPreflights {
    /// It goes to the upstream like any other.
    #[default]
    Forward,
    /// It is answered without any header that allows something.
    Answer,
}

impl CorsPolicy {
    /// The answer to a preflight request; `None` where the request is none, or is to be served like any other.
    pub fn answer(&self, method: &Method, headers: &HeaderMap) -> Option<Reply> {
        if !is_preflight(method, headers) {
            return None;
        }
        let mut reply = Reply::status(StatusCode::OK);
        match self.allowed_origin(headers) {
            Some(origin) => self.permit(origin, headers, &mut reply.headers),
            None if self.unmatched_preflights == UnmatchedPreflights::Forward => return None,
            None => vary(&mut reply.headers),
        }
        Some(reply)
    }

    /// The request's origin, where the policy allows it.
    pub fn allowed_origin<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let value = headers.get(ORIGIN)?;
        let origin = value.to_str().ok().filter(|origin| !origin.is_empty())?;
        self.allow_origins.iter().any(|allowed| allowed.matches(origin)).then_some(value)
    }

    /// Says in the reply to a request what its origin may see. What the upstream says of the same is overwritten;
    /// credentials are allowed by the policy or not at all.
    pub fn show(&self, origin: HeaderValue, reply: &mut HeaderMap) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        vary(reply);
        if self.allows_credentials() {
            reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        } else {
            reply.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
        // To a request with credentials `*` would be a field of that name.
        let exposed = self.expose_headers.as_deref();
        let exposed = exposed.filter(|names| *names != ANY || !self.allows_credentials());
        set(reply, ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    /// Says in the answer to a preflight what may be requested.
    fn permit(&self, origin: &HeaderValue, request: &HeaderMap, reply: &mut HeaderMap) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        vary(reply);
        if self.allows_credentials() {
            reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let parts = [
            (ACCESS_CONTROL_ALLOW_METHODS, &self.allow_methods, ACCESS_CONTROL_REQUEST_METHOD),
            (ACCESS_CONTROL_ALLOW_HEADERS, &self.allow_headers, ACCESS_CONTROL_REQUEST_HEADERS),
        ];
        for (name, allowed, requested) in parts {
            // To a request with credentials `*` stands for itself alone, so what is asked for is named.
            match allowed.as_deref() {
                Some(ANY) if self.allows_credentials() => {
                    if let Some(value) = request.get(requested) {
                        reply.insert(name, value.clone());
                    }
                }
                allowed => set(reply, name, allowed),
            }
        }
        if let Some(age) = self.max_age {
            reply.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }

    fn allows_credentials(&self) -> bool {
        self.allow_credentials == Some(true)
    }
}

/// Everything, where no credentials are allowed.
const ANY: &str = "*";

/// Whether a request is a preflight: a browser's question whether another may be made. It carries no credentials, so
/// nobody is authenticated by it.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let has = |name| headers.get(name).is_some_and(|value| !value.is_empty());
    *method == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

/// A cache must not show one origin what was made for another.
fn vary(headers: &mut HeaderMap) {
    let names = |value: &HeaderValue| {
        let mut names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
    };
    if !headers.get_all(VARY).iter().any(names) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// A condition on an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginMatch {
    /// Every origin (`*`).
    Any,
    /// Equal.
    Exact(Box<str>),
    /// Starts so.
    Prefix(Box<str>),
    /// Matches as a whole.
    Pattern(Pattern),
    /// Gateway API's `https://*.example.com`: this scheme, any name under that suffix (with its leading dot), and this
    /// port as written (empty for none).
    Subdomains {
        /// With `://`.
        scheme: Box<str>,
        /// With its leading dot.
        suffix: Box<str>,
        /// As `:8443`, or empty.
        port: Box<str>,
    },
}

impl OriginMatch {
    /// Whether an origin, as the request writes it, fulfils it.
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            OriginMatch::Any => true,
            OriginMatch::Exact(wanted) => **wanted == *origin,
            OriginMatch::Prefix(prefix) => origin.starts_with(&**prefix),
            OriginMatch::Pattern(pattern) => pattern.matches(origin),
            OriginMatch::Subdomains { scheme, suffix, port } => {
                let name = origin
                    .strip_prefix(&**scheme)
                    .and_then(|rest| rest.strip_suffix(&**port))
                    .and_then(|host| host.strip_suffix(&**suffix));
                name.is_some_and(is_host_name)
            }
        }
    }
}

/// Whether it is labels of a host name, and no part of another URL.
fn is_host_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> CorsPolicy {
        CorsPolicy {
            allow_origins: vec![OriginMatch::Exact("https://app.example".into())],
            allow_methods: Some("GET,PUT".into()),
            allow_headers: Some("x-token".into()),
            expose_headers: Some("x-count".into()),
            max_age: Some(Duration::from_secs(600)),
            allow_credentials: Some(true),
            unmatched_preflights: UnmatchedPreflights::Forward,
        }
    }

    fn preflight(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("x-a, x-b"));
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let shown =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_is_told_everything() {
        let reply = policy().answer(&Method::OPTIONS, &preflight("https://app.example")).unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(
            shown(&reply.headers),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: x-token",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://app.example",
                "access-control-max-age: 600",
                "vary: Origin",
            ]
        );
        assert_eq!(policy().answer(&Method::GET, &preflight("https://app.example")), None);
        let mut plain = preflight("https://app.example");
        plain.remove(ACCESS_CONTROL_REQUEST_METHOD);
        assert_eq!(
            policy().answer(&Method::OPTIONS, &plain),
            None,
            "OPTIONS alone is no preflight"
        );
    }

    #[test]
    fn an_unmatched_preflight_goes_on_or_learns_nothing() {
        let mut policy = policy();
        let headers = preflight("https://evil.example");
        assert_eq!(policy.answer(&Method::OPTIONS, &headers), None);
        policy.unmatched_preflights = UnmatchedPreflights::Answer;
        let reply = policy.answer(&Method::OPTIONS, &headers).unwrap();
        assert_eq!(
            (reply.status, shown(&reply.headers)),
            (StatusCode::OK, vec!["vary: Origin".to_owned()])
        );
    }

    #[test]
    fn a_star_is_written_out_where_credentials_are_allowed() {
        let any = Some("*".into());
        let mut policy = CorsPolicy {
            allow_origins: vec![OriginMatch::Any],
            allow_methods: any.clone(),
            allow_headers: any.clone(),
            expose_headers: any,
            max_age: None,
            ..policy()
        };
        let headers = preflight("https://a.example");
        let reply = policy.answer(&Method::OPTIONS, &headers).unwrap().headers;
        assert_eq!(reply[ACCESS_CONTROL_ALLOW_METHODS], "PUT");
        assert_eq!(reply[ACCESS_CONTROL_ALLOW_HEADERS], "x-a, x-b");
        assert_eq!(reply[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        let mut actual = HeaderMap::new();
        policy.show(headers[ORIGIN].clone(), &mut actual);
        assert!(!actual.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
        policy.allow_credentials = None;
        let reply = policy.answer(&Method::OPTIONS, &headers).unwrap().headers;
        assert_eq!(
            (&reply[ACCESS_CONTROL_ALLOW_METHODS], &reply[ACCESS_CONTROL_ALLOW_HEADERS]),
            (&"*".parse().unwrap(), &"*".parse().unwrap())
        );
        policy.show(headers[ORIGIN].clone(), &mut actual);
        assert_eq!(actual[ACCESS_CONTROL_EXPOSE_HEADERS], "*");
    }

    #[test]
    fn what_the_upstream_says_of_it_is_overwritten() {
        let mut reply = HeaderMap::new();
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "x-secret"),
            (VARY, "accept, ORIGIN"),
        ] {
            reply.append(name, HeaderValue::from_static(value));
        }
        let policy = CorsPolicy { allow_credentials: Some(false), ..policy() };
        policy.show(HeaderValue::from_static("https://app.example"), &mut reply);
        assert_eq!(
            shown(&reply),
            [
                "access-control-allow-origin: https://app.example",
                "access-control-expose-headers: x-count",
                "vary: accept, ORIGIN",
            ]
        );
    }

    #[test]
    fn origins_match_as_a_whole() {
        let subdomains = |port: &str| OriginMatch::Subdomains {
            scheme: "https://".into(),
            suffix: ".example.com".into(),
            port: port.into(),
        };
        let pattern = OriginMatch::Pattern(Pattern::parse("https://[a-z]+[.]example").unwrap());
        for (rule, origin, fits) in [
            (&OriginMatch::Any, "null", true),
            (&OriginMatch::Exact("https://a".into()), "https://a", true),
            (&OriginMatch::Exact("https://a".into()), "https://a.evil", false),
            (&OriginMatch::Prefix("https://a".into()), "https://a.b", true),
            (&pattern, "https://app.example", true),
            (&pattern, "https://app.example.evil", false),
            (&subdomains(""), "https://a.b.example.com", true),
            (&subdomains(""), "https://example.com", false),
            (&subdomains(""), "http://a.example.com", false),
            (&subdomains(""), "https://a.example.com:8443", false),
            (&subdomains(":8443"), "https://a.example.com:8443", true),
            (&subdomains(""), "https://evil/.example.com", false),
            (&subdomains(""), "https://evil:80@x.example.com", false),
            (&subdomains(""), "https://.example.com", false),
        ] {
            assert_eq!(rule.matches(origin), fits, "{rule:?} {origin}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_bytes(b"https://\xff").unwrap());
        let any = CorsPolicy { allow_origins: vec![OriginMatch::Any], ..policy() };
        assert_eq!(any.allowed_origin(&headers), None);
    }
}
