//! Who the client is, and what the upstream is told of it: `X-Forwarded-For`, `X-Forwarded-Proto`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
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

/// What becomes of the `X-Forwarded-For` of a peer that is not trusted. Who the client is does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignChain {
    /// The peer's address stands in its place.
    #[default]
    Replaced,
    /// The peer's address goes behind it, as in Istio (`--compat istio`).
    AppendedTo,
}

impl TrustedProxies {
    /// Whether a peer at this address is believed: where networks are named, if it is in one of them, else if
    /// hops are counted.
    pub fn trust(&self, peer: IpAddr) -> Trust {
        let trusted = if self.networks.is_empty() { self.hops > 0 } else { self.contains(peer) };
        if trusted { Trust::Trusted } else { Trust::Untrusted }
    }

    /// The client's address: that of the peer, or behind trusted proxies the nearest address in
    /// `X-Forwarded-For` that is not one of them (by hop count where one is set, else by network). Where the
    /// chain ends early or is broken, the farthest address that can be read.
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
            let reached = if self.hops > 0 { seen == self.hops } else { !self.contains(address) };
            if reached {
                return client;
            }
        }
        client
    }

    /// Whether an address is in one of the networks; IPv4 in IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
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

/// With or without a port, which an ALB can be told to add; IPv6 with or without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match in_brackets {
        Some(bare) => bare.parse::<Ipv6Addr>().ok()?.into(),
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(address.to_canonical())
}

/// What a trusted proxy says that the client used; `None` where it says nothing, or not one thing: a list, two
/// lines or another word could be read in two ways, and then the connection itself counts.
pub fn forwarded_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let mut lines = headers.get_all(X_FORWARDED_PROTO).iter();
    let said = lines.next().filter(|_| lines.next().is_none())?.as_bytes();
    ["https", "http"].into_iter().find(|scheme| said.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Sets `X-Forwarded-For` and `X-Forwarded-Proto` for the upstream and removes what an outside client
/// may not say: `X-Envoy-*`, `X-Portcullis-*`, and from an untrusted peer every `X-Forwarded-*`, `Forwarded`,
/// `X-Amzn-Oidc-*` and `X-Amzn-Mtls-*`, by which an ALB says who is logged in and whose certificate it saw.
///
/// From an untrusted peer `X-Forwarded-For` becomes the peer's address, unless `foreign` says otherwise; a trusted
/// one's is appended to. `scheme` is what the client used, as decided before: what upstreams are told agrees with what was done.
pub fn set_forwarded(
    headers: &mut HeaderMap,
    peer: &HeaderValue,
    trust: Trust,
    scheme: &'static str,
    foreign: ForeignChain,
) {
    remove_claims(headers, trust);
    let chain = match (trust, foreign) {
        (Trust::Untrusted, ForeignChain::Replaced) => peer.clone(),
        (Trust::Trusted, _) | (_, ForeignChain::AppendedTo) => append_peer(headers, peer),
    };
    headers.insert(X_FORWARDED_FOR, chain);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
}

fn remove_claims(headers: &mut HeaderMap, trust: Trust) {
    // In one pass: HTTP/2 lets a client repeat two thousand claims for two thousand bytes.
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| is_claim(name, trust)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Most names differ from every claim in their first byte.
fn is_claim(name: &HeaderName, trust: Trust) -> bool {
    let Some((b'x' | b'f', _)) = name.as_str().as_bytes().split_first() else { return false };
    let begins_with = |claim| begins_with(name.as_str(), claim);
    begins_with("x-envoy-")
        || begins_with("x-portcullis-")
        || (trust == Trust::Untrusted
            && (begins_with("x-forwarded-")
                || begins_with("x-amzn-oidc-")
                || begins_with("x-amzn-mtls-")
                || name == FORWARDED)
            // These two are overwritten anyway.
            && *name != X_FORWARDED_FOR
            && *name != X_FORWARDED_PROTO)
}

/// An underscore counts as a hyphen, since to many an upstream they are the same; where underscores are refused, no
/// such name comes here.
fn begins_with(name: &str, claim: &str) -> bool {
    let alike = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    name.len() >= claim.len() && name.bytes().zip(claim.bytes()).all(alike)
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
    fn addresses_of_both_families_in_every_spelling() {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let proxies = TrustedProxies { networks: networks.to_vec(), hops: 0 };
        for (chain, client) in [
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711, fd00::5", "2001:db8::1"),
            ("192.0.2.1:4711, ::ffff:10.0.0.9, [fd00::5]:80", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // What cannot be read ends the walk where it is.
            ("192.0.2.1, [[2001:db8::1]], fd00::5", "fd00::5"),
            ("192.0.2.1, , fd00::5", "fd00::5"),
            ("192.0.2.1, unknown", "fd00::1"),
            ("", "fd00::1"),
        ] {
            let found = proxies.client_address(address("fd00::1"), &headers(chain));
            assert_eq!(found, address(client), "{chain}");
        }
    }

    #[test]
    fn lines_are_one_chain() {
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], hops: 0 };
        let mut two = headers("6.6.6.6, 192.0.2.1");
        two.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.9"));
        assert_eq!(proxies.client_address(address("10.0.0.1"), &two), address("192.0.2.1"));
    }

    #[test]
    fn hops_beside_networks_count_for_these_networks_alone() {
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], hops: 2 };
        let chain = headers("6.6.6.6, 192.0.2.1, 198.51.100.1");
        assert_eq!(proxies.trust(address("::ffff:10.0.0.1")), Trust::Trusted);
        assert_eq!(proxies.client_address(address("10.0.0.1"), &chain), address("192.0.2.1"));
        assert_eq!(proxies.trust(address("9.9.9.9")), Trust::Untrusted);
        assert_eq!(proxies.client_address(address("9.9.9.9"), &chain), address("9.9.9.9"));
    }

    #[test]
    fn a_scheme_is_said_once_and_plainly() {
        for (said, scheme) in [
            (&["https"][..], Some("https")),
            (&["HTTP"], Some("http")),
            (&["https", "https"], None),
            (&["https, http"], None),
            (&["https,https"], None),
            (&["httpsx"], None),
            (&["wss"], None),
            (&[""], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(X_FORWARDED_PROTO, HeaderValue::from_static(value));
            }
            assert_eq!(forwarded_scheme(&headers), scheme, "{said:?}");
        }
    }

    #[test]
    fn claims_are_known_in_every_spelling() {
        for name in [
            "forwarded",
            "x-forwarded-host",
            "x_forwarded_host",
            "x-forwarded-client-cert",
            "x-amzn-oidc-identity",
            "x-amzn-mtls-clientcert-subject",
            "x_amzn_mtls_clientcert",
        ] {
            let name = HeaderName::from_static(name);
            assert!(
                is_claim(&name, Trust::Untrusted) && !is_claim(&name, Trust::Trusted),
                "{name}"
            );
        }
        for name in ["x-amzn-trace-id", "x-amzn-oidc", "x-forwarded", "from", "x-real-ip"] {
            assert!(!is_claim(&HeaderName::from_static(name), Trust::Untrusted), "{name}");
        }
        assert!(is_claim(&HeaderName::from_static("x_envoy_internal"), Trust::Trusted));
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
        let mut appended = claimed.clone();
        let replaced = ForeignChain::Replaced;
        set_forwarded(&mut claimed, &peer, Trust::Untrusted, "https", replaced);
        assert_eq!(claimed.get("x-forwarded-for").unwrap(), "9.9.9.9");
        assert_eq!(claimed.get("x-forwarded-proto").unwrap(), "https");
        assert_eq!(claimed.len(), 2);
        set_forwarded(&mut appended, &peer, Trust::Untrusted, "https", ForeignChain::AppendedTo);
        assert_eq!(appended.get("x-forwarded-for").unwrap(), "1.1.1.1,9.9.9.9");
        assert_eq!(appended.len(), 2);
        set_forwarded(&mut trusted, &peer, Trust::Trusted, "http", replaced);
        assert_eq!(trusted.get("x-forwarded-for").unwrap(), "1.1.1.1,9.9.9.9");
        assert_eq!(trusted.len(), 4);
    }
}
