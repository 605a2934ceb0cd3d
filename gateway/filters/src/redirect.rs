//! Sending the client elsewhere (Istio's `HTTPRedirect`, and `httpsRedirect` of a listener).

use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use http::uri::PathAndQuery;
use portcullis_message::Reply;

use crate::{MatchedPath, PathRewrite};

/// Where a redirect points. What it does not name stays as the request had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// `http` or `https`.
    pub scheme: Option<Box<str>>,
    /// The host, and perhaps the port, to go to.
    pub authority: Option<Box<str>>,
    /// The port to go to.
    pub port: RedirectPort,
    /// The path to go to.
    pub path: RedirectPath,
}

/// What becomes of the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectPort {
    /// That of the authority written; else the request's, unless it is the old scheme's own (as Envoy does).
    #[default]
    Kept,
    /// This one.
    This(u16),
    /// That of the listener (Istio's `FROM_REQUEST_PORT`).
    OfListener,
    /// That of the scheme that it goes to (Istio's `FROM_PROTOCOL_DEFAULT`).
    OfScheme,
}

/// What of a request a redirect keeps.
#[derive(Clone, Copy, Debug)]
pub struct Requested<'r> {
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Host, and port where the request names one.
    pub authority: &'r str,
    /// The port of the listener that it came to, as its resource has it.
    pub port: u16,
    /// Path and query.
    pub path: &'r PathAndQuery,
    /// What of the path the rule matched.
    pub matched: MatchedPath,
}

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPath {
    /// It stays, query included.
    Keep,
    /// Another path altogether. The request's query is kept unless this has its own, as Envoy does.
    Replace(Box<str>),
    /// The matched prefix is replaced, the query kept.
    Prefix(PathRewrite),
}

impl Redirect {
    /// `httpsRedirect`: the same URL over TLS, 301.
    pub fn to_https() -> Self {
        Redirect {
            status: StatusCode::MOVED_PERMANENTLY,
            scheme: Some("https".into()),
            authority: None,
            // No socket speaks both: the plain one's port cannot be meant.
            port: RedirectPort::OfScheme,
            path: RedirectPath::Keep,
        }
    }

    /// The reply for a request.
    pub fn reply(&self, request: Requested<'_>) -> Reply {
        let mut reply = Reply::status(self.status);
        match HeaderValue::try_from(self.location(request)) {
            Ok(location) => {
                reply.headers.insert(LOCATION, location);
                reply
            }
            // An authority with bytes that no URL has.
            Err(_) => Reply::status(StatusCode::BAD_REQUEST),
        }
    }

    fn location(&self, request: Requested<'_>) -> String {
        let path = request.path;
        let to_scheme = self.scheme.as_deref().unwrap_or(request.scheme);
        let to_authority = self.to_authority(to_scheme, request);
        let rewritten;
        let to_path = match &self.path {
            RedirectPath::Keep => path.as_str(),
            RedirectPath::Replace(replacement) => {
                return format!(
                    "{to_scheme}://{to_authority}{replacement}{}",
                    kept_query(replacement, path)
                );
            }
            RedirectPath::Prefix(rewrite) => {
                rewritten = rewrite.apply(path, request.matched);
                rewritten.as_ref().unwrap_or(path).as_str()
            }
        };
        // `OPTIONS *` asks about the server: in a URL there is no path then (RFC 9112 section 3.2.4).
        let to_path = if to_path == "*" { "" } else { to_path };
        format!("{to_scheme}://{to_authority}{to_path}")
    }

    /// The authority of the target.
    fn to_authority(&self, to_scheme: &str, request: Requested<'_>) -> String {
        let kept = self.authority.as_deref().unwrap_or(request.authority);
        let (host, port) = split_port(kept);
        let port = match (self.port, &self.authority) {
            (RedirectPort::This(port), _) => Some(port),
            (RedirectPort::OfScheme, _) => None,
            (RedirectPort::OfListener, _) => Some(request.port),
            (RedirectPort::Kept, Some(_)) => port,
            (RedirectPort::Kept, None) => port.filter(|_| port != default_port(request.scheme)),
        };
        match port {
            Some(port) if Some(port) != default_port(to_scheme) => format!("{host}:{port}"),
            _ => host.to_owned(),
        }
    }
}

/// The query of a request, with its `?`, behind a path that has none of its own.
fn kept_query<'r>(replacement: &str, path: &'r PathAndQuery) -> &'r str {
    let query = path.as_str().find('?').and_then(|at| path.as_str().get(at..));
    query.filter(|_| !replacement.contains('?')).unwrap_or_default()
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(redirect: &Redirect, authority: &str, path: &str, matched: MatchedPath) -> String {
        let path = path.parse().unwrap();
        let (scheme, port) = ("http", 8080);
        let reply = redirect.reply(Requested { scheme, authority, port, path: &path, matched });
        reply.headers.get(LOCATION).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn https_drops_the_plain_port() {
        assert_eq!(
            location(&Redirect::to_https(), "shop.example.com:80", "/a?b", MatchedPath::Whole),
            "https://shop.example.com/a?b"
        );
        assert_eq!(
            location(&Redirect::to_https(), "shop.example.com:8080", "/", MatchedPath::Whole),
            "https://shop.example.com/"
        );
        let kept = Redirect { port: RedirectPort::Kept, ..Redirect::to_https() };
        assert_eq!(location(&kept, "old:80", "/", MatchedPath::Whole), "https://old/");
        let star = location(&Redirect::to_https(), "shop.example.com", "*", MatchedPath::Whole);
        assert_eq!(star, "https://shop.example.com");
    }

    #[test]
    fn every_part_can_be_replaced() {
        let redirect = Redirect {
            status: StatusCode::FOUND,
            scheme: None,
            authority: Some("new.example.com".into()),
            port: RedirectPort::This(8080),
            path: RedirectPath::Prefix(PathRewrite::Matched("/v2".into())),
        };
        assert_eq!(
            location(&redirect, "old", "/v1/x?q", MatchedPath::Prefix(3)),
            "http://new.example.com:8080/v2/x?q"
        );
        let redirect = Redirect {
            path: RedirectPath::Replace("/gone".into()),
            port: RedirectPort::Kept,
            ..redirect
        };
        assert_eq!(
            location(&redirect, "old", "/v1/x?q", MatchedPath::Whole),
            "http://new.example.com/gone?q"
        );
        let redirect = Redirect { path: RedirectPath::Replace("/gone?own".into()), ..redirect };
        assert_eq!(
            location(&redirect, "old", "/v1/x?q", MatchedPath::Whole),
            "http://new.example.com/gone?own"
        );
    }

    #[test]
    fn the_port_comes_from_where_it_is_said() {
        let to = |scheme: Option<&str>, authority: Option<&str>, port| Redirect {
            status: StatusCode::FOUND,
            scheme: scheme.map(Into::into),
            authority: authority.map(Into::into),
            port,
            path: RedirectPath::Keep,
        };
        use RedirectPort::{Kept, OfListener, OfScheme, This};
        for (scheme, authority, port, expected) in [
            (None, None, Kept, "http://old:81/"),
            (Some("https"), None, Kept, "https://old:81/"),
            (None, Some("new:82"), Kept, "http://new:82/"),
            (None, None, OfListener, "http://old:8080/"),
            (None, Some("new"), OfListener, "http://new:8080/"),
            (Some("https"), Some("new:82"), OfListener, "https://new:8080/"),
            (None, None, OfScheme, "http://old/"),
            (Some("https"), Some("new:82"), OfScheme, "https://new/"),
            (None, None, This(80), "http://old/"),
            (Some("https"), None, This(443), "https://old/"),
            (Some("https"), None, This(80), "https://old:80/"),
        ] {
            let redirect = to(scheme, authority, port);
            assert_eq!(location(&redirect, "old:81", "/", MatchedPath::Whole), expected);
        }
    }

    #[test]
    fn an_authority_that_is_no_header_is_refused() {
        let reply = Redirect::to_https().reply(Requested {
            scheme: "http",
            authority: "a\nb",
            port: 80,
            path: &"/".parse().unwrap(),
            matched: MatchedPath::Whole,
        });
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    }
}
