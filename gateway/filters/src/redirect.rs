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
    /// That of the authority written; else the request's, where the scheme stays as it is.
    #[default]
    Kept,
    /// This one.
    This(u16),
    /// That of the listener (Istio's `FROM_REQUEST_PORT`).
    OfListener,
    /// That of the scheme (Istio's `FROM_PROTOCOL_DEFAULT`).
    OfScheme,
}

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPath {
    /// It stays, query included.
    Keep,
    /// Another path altogether; the request's query is dropped, as Envoy does where the path has its own.
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
            port: RedirectPort::Kept,
            path: RedirectPath::Keep,
        }
    }

    /// The reply for a request that came with this scheme, authority and path.
    pub fn reply(
        &self,
        scheme: &str,
        authority: &str,
        path: &PathAndQuery,
        matched: MatchedPath,
    ) -> Reply {
        let location = self.location(scheme, authority, path, matched);
        let mut reply = Reply::status(self.status);
        match HeaderValue::try_from(location) {
            Ok(location) => {
                reply.headers.insert(LOCATION, location);
                reply
            }
            // An authority with bytes that no URL has.
            Err(_) => Reply::status(StatusCode::BAD_REQUEST),
        }
    }

    fn location(
        &self,
        scheme: &str,
        authority: &str,
        path: &PathAndQuery,
        matched: MatchedPath,
    ) -> String {
        let to_scheme = self.scheme.as_deref().unwrap_or(scheme);
        let to_authority = self.to_authority(to_scheme, scheme, authority);
        let rewritten;
        let to_path = match &self.path {
            RedirectPath::Keep => path.as_str(),
            RedirectPath::Replace(replacement) => replacement,
            RedirectPath::Prefix(rewrite) => {
                rewritten = rewrite.apply(path, matched);
                rewritten.as_ref().unwrap_or(path).as_str()
            }
        };
        format!("{to_scheme}://{to_authority}{to_path}")
    }

    /// The authority of the target. The request's port means something else under another scheme, so it
    /// goes when the scheme changes.
    fn to_authority(&self, to_scheme: &str, scheme: &str, authority: &str) -> String {
        let kept = self.authority.as_deref().unwrap_or(authority);
        let (host, port) = split_port(kept);
        let port = match (self.port, &self.authority) {
            (RedirectPort::This(port), _) => Some(port),
            (RedirectPort::OfScheme, _) => None,
            (_, Some(_)) => port,
            (_, None) if to_scheme == scheme => port,
            (_, None) => None,
        };
        match port {
            Some(port) if Some(port) != default_port(to_scheme) => format!("{host}:{port}"),
            _ => host.to_owned(),
        }
    }
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
        let reply = redirect.reply("http", authority, &path.parse().unwrap(), matched);
        reply.headers.get(LOCATION).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn https_drops_the_plain_port() {
        assert_eq!(
            location(&Redirect::to_https(), "shop.example.com:80", "/a?b", MatchedPath::Whole),
            "https://shop.example.com/a?b"
        );
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
            "http://new.example.com/gone"
        );
    }

    #[test]
    fn an_authority_that_is_no_header_is_refused() {
        let reply =
            Redirect::to_https().reply("http", "a\nb", &"/".parse().unwrap(), MatchedPath::Whole);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    }
}
