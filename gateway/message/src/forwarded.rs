//! Who the client is, and what the upstream is told of it: `X-Forwarded-For`, `X-Forwarded-Proto`.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which proxies in front of us are believed (`--trusted-cidr`, `--trusted-hops`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Networks whose `X-Forwarded-*` is believed.
    pub networks: Vec<IpNet>,
    /// Proxies in front of us, counted from the nearest; 0 where none is.
    pub hops: usize,
}

/// Whether the peer of a connection is a proxy whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A proxy of ours.
    Trusted,
    /// Anybody.
    Untrusted,
}

impl TrustedProxies {
    /// Whether a peer at this address is believed.
    pub fn trust(&self, peer: IpAddr) -> Trust {
        if self.hops > 0 || self.is_ours(peer) { Trust::Trusted } else { Trust::Untrusted }
    }

    /// The client's address: that of the peer, or behind trusted proxies the nearest address in
    /// `X-Forwarded-For` that is not one of them (by hop count where one is set, else by network).
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.trust(peer) == Trust::Untrusted {
            return peer;
        }
        let mut client = peer;
        let mut seen = 0;
        for address in forwarded_for(headers) {
            let Some(address) = address else {
                return client;
            };
            seen += 1;
            client = address;
            let reached = if self.hops > 0 { seen == self.hops } else { !self.is_ours(address) };
            if reached {
                return client;
            }
        }
        client
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The addresses of `X-Forwarded-For` from the nearest to the farthest; `None` for one that is no address.
fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let addresses = lines.flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
    addresses.map(|part| parse_address(part.trim()))
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

/// Sets `X-Forwarded-For` and `X-Forwarded-Proto` for the upstream and removes what an outside client
/// may not say: `X-Envoy-*`, `X-Portcullis-*`, and from an untrusted peer every `X-Forwarded-*` and
/// `X-Amzn-Oidc-*`, by which an ALB says who is logged in.
///
/// From an untrusted peer `X-Forwarded-For` becomes the peer's address; a trusted one's is appended to.
pub fn set_forwarded(
    headers: &mut HeaderMap,
    peer: &HeaderValue,
    trust: Trust,
    scheme: &'static str,
) {
    remove_claims(headers, trust);
    let scheme = HeaderValue::from_static(scheme);
    match trust {
        Trust::Untrusted => {
            headers.insert(X_FORWARDED_FOR, peer.clone());
            headers.insert(X_FORWARDED_PROTO, scheme);
        }
        Trust::Trusted => {
            let chain = append_peer(headers, peer);
            headers.insert(X_FORWARDED_FOR, chain);
            headers.entry(X_FORWARDED_PROTO).or_insert(scheme);
        }
    }
}

fn remove_claims(headers: &mut HeaderMap, trust: Trust) {
    let is_claim = |name: &HeaderName| {
        let Some(rest) = name.as_str().strip_prefix("x-") else { return false };
        rest.starts_with("envoy-")
            || rest.starts_with("portcullis-")
            || (trust == Trust::Untrusted
                && (rest.starts_with("forwarded-") || rest.starts_with("amzn-oidc-"))
                // These two are overwritten anyway.
                && *name != X_FORWARDED_FOR
                && *name != X_FORWARDED_PROTO)
    };
    // In one pass: HTTP/2 lets a client repeat two thousand claims for two thousand bytes.
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn append_peer(headers: &HeaderMap, peer: &HeaderValue) -> HeaderValue {
    let mut joined = Vec::with_capacity(64);
    for line in headers.get_all(X_FORWARDED_FOR) {
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b",");
    }
    joined.extend_from_slice(peer.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).unwrap_or_else(|_| peer.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(forwarded_for: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, forwarded_for.parse().unwrap());
        headers
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_untrusted_peer_is_the_client() {
        let proxies = TrustedProxies::default();
        assert_eq!(
            proxies.client_address(address("9.9.9.9"), &headers("1.1.1.1")),
            address("9.9.9.9")
        );
    }

    #[test]
    fn networks_are_walked_from_the_right() {
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], hops: 0 };
        let forwarded = headers("6.6.6.6, 1.1.1.1, 10.0.0.9");
        assert_eq!(proxies.client_address(address("10.0.0.1"), &forwarded), address("1.1.1.1"));
    }

    #[test]
    fn hops_count_from_the_nearest() {
        let proxies = TrustedProxies { networks: vec![], hops: 2 };
        assert_eq!(
            proxies.client_address(address("9.9.9.9"), &headers("6.6.6.6, 1.1.1.1, 2.2.2.2")),
            address("1.1.1.1")
        );
    }

    #[test]
    fn an_untrusted_claim_is_replaced_and_a_trusted_one_kept() {
        let peer = HeaderValue::from_static("9.9.9.9");
        let mut claimed = headers("1.1.1.1");
        claimed.insert("x-forwarded-host", HeaderValue::from_static("evil"));
        claimed.insert("x-amzn-oidc-data", HeaderValue::from_static("evil"));
        claimed.insert("x-envoy-internal", HeaderValue::from_static("true"));
        let mut trusted = claimed.clone();
        set_forwarded(&mut claimed, &peer, Trust::Untrusted, "https");
        assert_eq!(claimed.get("x-forwarded-for").unwrap(), "9.9.9.9");
        assert_eq!(claimed.get("x-forwarded-proto").unwrap(), "https");
        assert_eq!(claimed.len(), 2);
        set_forwarded(&mut trusted, &peer, Trust::Trusted, "http");
        assert_eq!(trusted.get("x-forwarded-for").unwrap(), "1.1.1.1,9.9.9.9");
        assert_eq!(trusted.len(), 4);
    }
}
