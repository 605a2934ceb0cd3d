//! `X-Forwarded-*` of whoever is in front of us: a byte for the trust, four for the peer, then a head.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};
use portcullis_message::{ForeignChain, Trust, TrustedProxies, set_forwarded};

/// An untrusted peer has no say, and what the upstream is told names the peer.
pub(crate) fn run(input: &[u8]) {
    let Some(([flags, a, b, c, d], head)) = input.split_first_chunk::<5>() else { return };
    let peer = IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d));
    let ours = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 8).map(IpNet::V4);
    let networks = if flags & 1 == 0 { Vec::new() } else { ours.into_iter().collect() };
    let proxies = TrustedProxies { networks, hops: usize::from(flags >> 1 & 3) };
    let mut headers = read_head(head);
    let trust = proxies.trust(peer);
    let client = proxies.client_address(peer, &headers);
    let Ok(peer_value) = HeaderValue::try_from(peer.to_string()) else { return };
    let foreign = if flags & 8 == 0 { ForeignChain::Replaced } else { ForeignChain::AppendedTo };
    set_forwarded(&mut headers, &peer_value, trust, "http", foreign);
    let chain: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let [chain] = chain.as_slice() else { panic!("X-Forwarded-For has {} lines", chain.len()) };
    assert!(
        chain.as_bytes().ends_with(peer_value.as_bytes()),
        "{chain:?} does not end with {peer}"
    );
    let claims = |name: &HeaderName| {
        name.as_str().starts_with("x-envoy-") || name.as_str().starts_with("x-portcullis-")
    };
    assert!(!headers.keys().any(claims), "{headers:?}");
    if trust == Trust::Untrusted {
        assert_eq!(client, peer, "an untrusted peer chose its address");
        assert!(*chain == peer_value || foreign == ForeignChain::AppendedTo);
        assert_eq!(headers.get("x-forwarded-proto"), Some(&HeaderValue::from_static("http")));
        let others = headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-"));
        assert_eq!(others.count(), 2, "{headers:?}");
        let who = |name: &HeaderName| {
            name == "forwarded"
                || name.as_str().starts_with("x-amzn-oidc-")
                || name.as_str().starts_with("x-amzn-mtls-")
        };
        assert!(!headers.keys().any(who), "{headers:?}");
    }
}

/// Lines of `name: value`; what is none is left out.
fn read_head(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}
