//! Affinity: what of a request is hashed to find its endpoint, and the cookie that keeps a client with one.

use std::fmt::Write as _;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use portcullis_exchange::Exchange;
use portcullis_model::{AffinityCookie, HashKey};
use portcullis_upstream::{draw, hash_of};

/// The hash of a request's key.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    /// `None` where the request has no such key.
    pub(crate) hash: Option<u64>,
    /// What the client is given to come back with.
    pub(crate) set_cookie: Option<HeaderValue>,
}

impl Affinity {
    /// Hashes the key of a request whose head is as the upstream gets it, by Envoy's rules: a header's value, all of
    /// them where it stands there several times; a cookie's; the client's address without its port; a parameter's.
    pub(crate) fn of(key: &HashKey, exchange: &Exchange, headers: &HeaderMap) -> Self {
        match key {
            HashKey::Header(name) => Affinity::found(header_hash(headers.get_all(name).iter())),
            HashKey::Cookie(cookie) => cookie_affinity(cookie, headers),
            HashKey::SourceAddress => {
                let address = exchange.client_address.ip().to_canonical().to_string();
                Affinity::found(Some(hash_of(address.as_bytes())))
            }
            HashKey::Query(name) => {
                let query = exchange.request.path.query().unwrap_or_default();
                Affinity::found(parameter(query, name).map(|value| hash_of(value.as_bytes())))
            }
        }
    }

    /// The hash for a connection whose bytes are passed on, which has no other key than its client's address.
    pub(crate) fn of_connection(key: &HashKey, exchange: &Exchange) -> Option<u64> {
        let by_address = *key == HashKey::SourceAddress;
        by_address.then(|| Affinity::of(key, exchange, &HeaderMap::new()).hash).flatten()
    }

    fn found(hash: Option<u64>) -> Self {
        Affinity { hash, set_cookie: None }
    }

    /// Puts the cookie into the reply.
    pub(crate) fn give(&mut self, headers: &mut HeaderMap) {
        if let Some(cookie) = self.set_cookie.take() {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

/// Several values are sorted and hashed as one.
fn header_hash<'v>(values: impl Iterator<Item = &'v HeaderValue>) -> Option<u64> {
    let mut values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    if let [value] = values.as_slice() {
        return Some(hash_of(value));
    }
    values.sort_unstable();
    (!values.is_empty()).then(|| hash_of(&values.concat()))
}

fn cookie_affinity(cookie: &AffinityCookie, headers: &HeaderMap) -> Affinity {
    if let Some(value) = cookie_value(headers, &cookie.name) {
        return Affinity::found(Some(hash_of(value)));
    }
    let Some(ttl) = cookie.ttl else { return Affinity::default() };
    let value = format!("{:016x}{:016x}", draw(), draw());
    let mut text = format!("{}=\"{value}\"", cookie.name);
    if !ttl.is_zero() {
        let _ = write!(text, "; Max-Age={}", ttl.as_secs().max(1));
    }
    if let Some(path) = &cookie.path {
        let _ = write!(text, "; Path={path}");
    }
    for (name, value) in &cookie.attributes {
        let _ = match value {
            Some(value) => write!(text, "; {name}={value}"),
            None => write!(text, "; {name}"),
        };
    }
    text.push_str("; HttpOnly");
    let set_cookie = HeaderValue::from_str(&text).ok();
    Affinity { hash: Some(hash_of(value.as_bytes())), set_cookie }
}

/// The value of the first cookie of this name, without the quotes that it may stand in.
fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let pairs =
        headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let mut values = pairs.filter_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(rest))
    });
    values.find(|value| !value.is_empty())
}

/// The first value of a parameter, as it is written.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cookie(ttl: Option<u64>) -> HashKey {
        HashKey::Cookie(AffinityCookie {
            name: "session".into(),
            path: Some("/shop".into()),
            ttl: ttl.map(Duration::from_secs),
            attributes: vec![("SameSite".into(), Some("Lax".into())), ("Secure".into(), None)],
        })
    }

    fn affinity(key: &HashKey, headers: &[(&'static str, &'static str)]) -> Affinity {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let mut exchange = Exchange::for_test();
        exchange.request.path = "/cart?user=7&user=8&empty".parse().unwrap();
        Affinity::of(key, &exchange, &map)
    }

    #[test]
    fn a_header_is_hashed_by_its_values_in_any_order() {
        let key = HashKey::Header(http::header::HeaderName::from_static("x-user"));
        let hash = |headers: &[(&'static str, &'static str)]| affinity(&key, headers).hash;
        assert_eq!(hash(&[]), None);
        assert_eq!(hash(&[("x-user", "anna")]), Some(hash_of(b"anna")));
        let both = hash(&[("x-user", "anna"), ("x-user", "ben")]);
        assert_eq!(both, hash(&[("x-user", "ben"), ("x-user", "anna")]));
        assert_ne!(both, hash(&[("x-user", "anna")]));
    }

    #[test]
    fn a_parameter_is_hashed_by_its_first_value() {
        let hash = |name: &str| affinity(&HashKey::Query(name.into()), &[]).hash;
        assert_eq!(hash("user"), Some(hash_of(b"7")));
        assert_eq!(hash("empty"), Some(hash_of(b"")));
        assert_eq!(hash("none"), None);
    }

    #[test]
    fn a_cookie_is_taken_or_made_once() {
        let known = affinity(&cookie(Some(60)), &[("cookie", "a=1; session=\"abc\"; b=2")]);
        assert_eq!((known.hash, known.set_cookie), (Some(hash_of(b"abc")), None));
        let mut made = affinity(&cookie(Some(60)), &[("cookie", "xsession=1; session=")]);
        let text = made.set_cookie.clone().unwrap();
        let text = text.to_str().unwrap();
        let (value, attributes) = text.split_once(';').unwrap();
        assert_eq!(attributes, " Max-Age=60; Path=/shop; SameSite=Lax; Secure; HttpOnly");
        let value = value.strip_prefix("session=\"").unwrap().strip_suffix('"').unwrap();
        assert_eq!(made.hash, Some(hash_of(value.as_bytes())));
        let mut reply = HeaderMap::new();
        made.give(&mut reply);
        made.give(&mut reply);
        assert_eq!(reply.get_all(SET_COOKIE).iter().count(), 1);
        let session = affinity(&cookie(Some(0)), &[]).set_cookie.unwrap();
        assert!(!session.to_str().unwrap().contains("Max-Age"));
        let none = affinity(&cookie(None), &[]);
        assert_eq!((none.hash, none.set_cookie), (None, None));
    }

    #[test]
    fn a_client_is_hashed_without_its_port() {
        let hash = affinity(&HashKey::SourceAddress, &[]).hash;
        let address = Exchange::for_test().client_address.ip().to_string();
        assert_eq!(hash, Some(hash_of(address.as_bytes())));
    }
}
