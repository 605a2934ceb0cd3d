//! Removing what concerns one connection only (RFC 9110 section 7.6.1).

use http::HeaderMap;
use http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The fields that concern one connection only; `TE` is kept where it asks for trailers.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    TE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the hop-by-hop fields and those that `Connection` nominates.
///
/// `Connection` never removes end-to-end fields that carry trust or framing (`Host`, `Authorization`,
/// `X-Forwarded-*` and the like): a client could hide them from the upstream that way. `TE: trailers`
/// is kept, gRPC needs it.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads have none of them. One look at each name is cheaper than eight lookups by hash.
    let present = present(headers);
    if present == 0 {
        return;
    }
    for (index, name) in HOP_BY_HOP.iter().enumerate() {
        if present & (1 << index) == 0 {
            continue;
        }
        if *name == CONNECTION {
            remove_nominated(headers);
        }
        if *name == TE && headers.get(TE).is_some_and(|te| accepts_trailers(te.as_bytes())) {
            continue;
        }
        headers.remove(name);
    }
}

/// Which of [`HOP_BY_HOP`] a head has, a bit for each.
fn present(headers: &HeaderMap) -> u8 {
    headers.keys().fold(0, |present, name| match index_of(name.as_str()) {
        Some(index) => present | 1 << index,
        None => present,
    })
}

fn index_of(name: &str) -> Option<usize> {
    let candidates = match name.len() {
        2 => &[1][..],
        7 => &[7],
        10 => &[0, 2],
        16 => &[3],
        17 => &[6],
        18 => &[4],
        19 => &[5],
        _ => return None,
    };
    candidates.iter().copied().find(|index| HOP_BY_HOP.get(*index).is_some_and(|hop| hop == name))
}

fn remove_nominated(headers: &mut HeaderMap) {
    let mut nominated: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let Ok(value) = value.to_str() else { continue };
        for token in value.split(',').map(str::trim) {
            // The two usual tokens name no field of their own.
            if token.eq_ignore_ascii_case("keep-alive") || token.eq_ignore_ascii_case("close") {
                continue;
            }
            if let Ok(name) = token.parse::<HeaderName>()
                && !is_protected(&name)
            {
                nominated.push(name);
            }
        }
    }
    for name in nominated {
        headers.remove(name);
    }
}

fn is_protected(name: &HeaderName) -> bool {
    const PROTECTED: [&str; 8] = [
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "te",
        "x-request-id",
        "traceparent",
        "trailer",
    ];
    *name == HOST
        || PROTECTED.contains(&name.as_str())
        || ["x-forwarded-", "x-envoy-", "x-amzn-", "x-portcullis-"]
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
}

fn accepts_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn nominated_fields_go_with_connection() {
        let mut fields = headers(&[
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "1"),
            ("x-kept", "1"),
            ("keep-alive", "5"),
        ]);
        remove_hop_by_hop(&mut fields);
        assert_eq!(fields, headers(&[("x-kept", "1")]));
    }

    #[test]
    fn connection_cannot_remove_trust() {
        let mut fields = headers(&[
            ("connection", "x-forwarded-for, authorization, host"),
            ("x-forwarded-for", "1.1.1.1"),
            ("authorization", "x"),
            ("host", "a"),
        ]);
        remove_hop_by_hop(&mut fields);
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn each_is_found_by_its_length() {
        for (index, name) in HOP_BY_HOP.iter().enumerate() {
            assert_eq!(index_of(name.as_str()), Some(index), "{name}");
        }
        assert_eq!(index_of("x-1234567"), None);
    }

    #[test]
    fn te_trailers_stays() {
        let mut fields = headers(&[("te", "gzip, Trailers"), ("upgrade", "h2c")]);
        remove_hop_by_hop(&mut fields);
        assert_eq!(fields.len(), 1);
        let mut fields = headers(&[("te", "gzip")]);
        remove_hop_by_hop(&mut fields);
        assert!(fields.is_empty());
    }
}
